"""A session host over HTTP that answers what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

ID = "0f5e0a52-33c1-4d0f-a9b6-1e1a8b1c7d55"


def a_session(session_id: str = ID, agent: str = "planner", **fields: Any) -> dict[str, Any]:
    """Return a session as a session host gives it."""
    return {
        "name": f"sessions/{agent}/{session_id}",
        "agent": agent,
        "sessionId": session_id,
        "state": "IDLE",
        "busy": False,
        "inFlight": 0,
        "activeTasks": 2,
        "run": 3,
        "ageSeconds": 754.25,
        "idleSeconds": 12.5,
        "createTime": "2026-01-12T13:44:48.250Z",
        "startTime": "2026-01-12T14:44:48.250Z",
        "host": "box",
        **fields,
    }


class ScriptedHost:
    """Has the sessions in ``sessions``; notes what it was asked."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.token = ""
        #: What is answered to everything, in place of the truth.
        self.answer: web.Response | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/sessions", self._list)
        app.router.add_get("/sessions/{agent}/{id}", self._get)
        app.router.add_post("/sessions/{agent}/{id}/stop", self._stop)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        assert self._runner is not None
        await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _refusal(403, "AccessDeniedException", "Access denied")
        return self.answer or await handler(request)

    async def _list(self, request: web.Request) -> web.Response:
        states = request.query.getall("state", [])
        agent = request.query.get("agent", "")
        found = [
            session
            for session in self.sessions
            if (not states or session["state"] in states) and (not agent or session["agent"] == agent)
        ]
        first = int(request.query.get("pageToken", "0"))
        last = first + min(int(request.query["pageSize"]), 3)
        answer: dict[str, Any] = {"sessions": found[first:last]}
        if found[last:]:
            answer["nextPageToken"] = str(last)
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.Response:
        session = self._find(request.match_info)
        return _refusal(404, "ResourceNotFoundException", "no such") if session is None else web.json_response(session)

    async def _stop(self, request: web.Request) -> web.Response:
        session = self._find(request.match_info)
        if session is None or session["state"] == "STOPPED":
            return _refusal(404, "ResourceNotFoundException", "the session does not run")
        if session["state"] == "STARTING":
            message = "Session operation in progress, please retry"
            return _refusal(409, "RetryableConflictException", message)
        session.update(state="STOPPED", endReason="STOP_REQUESTED")
        return web.json_response(session)

    def _find(self, named: Mapping[str, str]) -> dict[str, Any] | None:
        for session in self.sessions:
            if (session["agent"], session["sessionId"]) == (named["agent"], named["id"]):
                return session
        return None


def _refusal(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": kind})
