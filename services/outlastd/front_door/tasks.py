"""``/tasks``: what became of the work that invocations started."""

from __future__ import annotations

import math

from outlast.core.state import TERMINAL, TaskState
from outlast.v1 import task_pb2
from outlast.wire.json_text import page_text, task_text
from outlastd.front_door.access import Access, Scope, no_such_task, task_name
from outlastd.front_door.errors import refusing
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import EVENT_STREAM, Response, json_text_response
from outlastd.front_door.router import Router
from outlastd.front_door.sse import KEEPALIVE_SECONDS
from outlastd.front_door.task_client import MAX_WAIT, TaskClient
from outlastd.front_door.task_events import TaskEvents

_MAX_GENERATION = (1 << 63) - 1


class Tasks:
    """Answers for the tasks of this agent that the caller may see; others do not exist for it."""

    def __init__(self, client: TaskClient, access: Access, *, keepalive: float = KEEPALIVE_SECONDS) -> None:
        self._client = client
        self._access = access
        self._keepalive = keepalive

    def route(self, router: Router) -> None:
        """Enter the paths."""
        router.add("GET", "/tasks", self.list)
        router.add("GET", "/tasks/{}", self.get)
        router.add("POST", "/tasks/{}/cancel", self.cancel)
        router.add("GET", "/tasks/{}/wait", self.wait)
        router.add("GET", "/tasks/{}/events", self.events)

    async def list(self, request: Request) -> Response:
        """Answer a page of tasks, the newest first: ``state`` (several), ``session``, ``pageSize``, ``pageToken``."""
        scope = self._access.scope_of(request)
        session_id = request.parameter("session")
        if scope.session_id is not None:
            if session_id not in ("", scope.session_id):
                return json_text_response('{"tasks": []}')
            session_id = scope.session_id
        with refusing():
            page = await self._asking(request).list(
                agent=scope.agent,
                session_id=session_id,
                states=_states(request.query.get("state", [])),
                page_size=_whole(request, "pageSize", 1000),
                token=request.parameter("pageToken"),
            )
        return json_text_response(page_text(page))

    async def get(self, request: Request, task_id: str) -> Response:
        """Answer one task."""
        return json_text_response(task_text(await self._look_up(request, task_id, basic=False)))

    async def cancel(self, request: Request, task_id: str) -> Response:
        """Ask a task to stop, and answer it as it stands then."""
        task = await self._look_up(request, task_id)
        with refusing():
            return json_text_response(task_text(await self._asking(request).cancel(task.name)))

    async def wait(self, request: Request, task_id: str) -> Response:
        """Answer a task once it is terminal, or as it stands after ``timeout`` seconds, 60 at the most."""
        seconds = _seconds(request, "timeout")
        task = await self._look_up(request, task_id)
        with refusing():
            return json_text_response(task_text(await self._asking(request).wait(task.name, seconds)))

    async def events(self, request: Request, task_id: str) -> Response:
        """Answer a task's events after ``Last-Event-ID`` (or ``after``), each once, until the terminal one."""
        after = _whole(request, "after", _MAX_GENERATION, request.headers.get("Last-Event-ID"))
        task = await self._look_up(request, task_id)
        if after >= task.generation and TaskState(task.state) in TERMINAL:
            # An EventSource comes back when a stream ends; this is how it is told that there is nothing more.
            return Response(204, b"")
        body = TaskEvents(self._asking(request).watch(task.name, after), self._keepalive)
        return Response(200, body, EVENT_STREAM, {"Cache-Control": "no-cache"})

    def _asking(self, request: Request) -> TaskClient:
        return self._client.on_behalf_of(request.headers)

    async def _look_up(self, request: Request, task_id: str, *, basic: bool = True) -> task_pb2.Task:
        scope: Scope = self._access.scope_of(request)
        with refusing():
            task = await self._asking(request).get(task_name(task_id), basic=basic)
        if not scope.covers(task):
            raise no_such_task(task_id)
        return task


def _states(given: list[str]) -> list[task_pb2.Task.State.ValueType]:
    names = [name.strip().upper() for value in given for name in value.split(",") if name.strip()]
    known = set(task_pb2.Task.State.keys()) - {"STATE_UNSPECIFIED"}
    if unknown := sorted(set(names) - known):
        raise Refusal(400, f"state: {', '.join(unknown)} is no state", code="INVALID_ARGUMENT", field="state")
    return [task_pb2.Task.State.Value(name) for name in names]


def _whole(request: Request, name: str, highest: int, header: str | None = None) -> int:
    """Return a number from 0; an empty one is 0, and one over ``highest`` is that."""
    text = (header or request.parameter(name)).strip()
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise Refusal(400, f"{name}: {text!r} is no whole number", code="INVALID_ARGUMENT", field=name)
    return min(int(text or "0"), highest)


def _seconds(request: Request, name: str) -> float:
    text = request.parameter(name)
    try:
        seconds = float(text or MAX_WAIT)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise Refusal(400, f"{name}: {text!r} is no number of seconds", code="INVALID_ARGUMENT", field=name)
    return min(seconds, MAX_WAIT)
