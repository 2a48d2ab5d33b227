"""StopRuntimeSession, and what AWS has not: sessions listed, looked at and stopped by who may see them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from outlast.core.session import SessionKey
from outlast.headers import SESSION_ID
from outlast.wire.json_text import task_text
from outlastd.front_door import parameters
from outlastd.front_door.errors import refusing
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, json_response, json_text_response
from outlastd.front_door.task_client import TaskClient
from outlastd.session_host.admission import Admission
from outlastd.session_host.api_error import invalid
from outlastd.session_host.arn import agent_of, agent_or_former, decoded
from outlastd.session_host.call import check_query, checked_session_id, named_session
from outlastd.session_host.config import HostConfig
from outlastd.session_host.json_body import read_object
from outlastd.session_host.repeat_key import RepeatKey
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.routing import Routes
from outlastd.session_host.session_pages import MAX_PAGE_SIZE
from outlastd.session_host.session_view import ViewState
from outlastd.session_host.sessions import Sessions

#: Tasks of a session that are shown with it, the newest.
MAX_TASKS = 100
#: What makes a repeat of a stop one (contract section 2.2).
_CLIENT_TOKEN = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,256}")


class SessionsApi:
    """Answers for the sessions that the caller may see; others do not exist for it."""

    def __init__(
        self,
        config: HostConfig,
        sessions: Sessions,
        admission: Admission,
        repeats: Repeats,
        task_client: TaskClient | None,
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._admission = admission
        self._repeats = repeats
        self._task_client = task_client

    def route(self, routes: Routes) -> None:
        """Enter the paths."""
        routes.add("POST", "/runtimes/{}/stopruntimesession", self.stop_runtime_session)
        routes.add("GET", "/sessions", self.list)
        routes.add("GET", "/sessions/{}/{}", self.get)
        routes.add("POST", "/sessions/{}/{}/stop", self.stop)

    async def stop_runtime_session(self, request: Request, segment: str) -> Response:
        """Stop a session as boto3 asks for it; answer once nothing of it is left."""
        caller, body = await self._admission.small(request)
        agent = agent_of(segment, self._config.agents)
        check_query(request)
        key = SessionKey(agent, named_session(request))
        token = _client_token(body)

        async def run() -> Response:
            await self._sessions.stop(key, caller)
            return json_response({}, headers={SESSION_ID: key.session_id})

        repeat = RepeatKey(caller.name, key.agent, key.session_id, f"stop {token}", "") if token else None
        return await self._repeats.answer(repeat, run)

    async def list(self, request: Request) -> Response:
        """Answer a page of sessions, the newest first: ``agent``, ``state`` (several), ``pageSize``, ``pageToken``."""
        caller, _ = await self._admission.small(request)
        page = await self._sessions.list(
            caller,
            agent=request.parameter("agent"),
            states=_states(request),
            page_size=parameters.whole(request, "pageSize", MAX_PAGE_SIZE),
            page_token=request.parameter("pageToken"),
        )
        shown: dict[str, object] = {"sessions": [view.as_json() for view in page.sessions]}
        if page.next_page_token:
            shown["nextPageToken"] = page.next_page_token
        return json_response(shown)

    async def get(self, request: Request, agent: str, session_id: str) -> Response:
        """Answer one session, with its newest tasks."""
        caller, _ = await self._admission.small(request)
        key = self._key(agent, session_id)
        view = await self._sessions.view(key, caller)
        tasks = ", ".join(await self._tasks(request, key))
        return json_text_response(f'{json.dumps(view.as_json())[:-1]}, "tasks": [{tasks}]}}')

    async def stop(self, request: Request, agent: str, session_id: str) -> Response:
        """Stop a session; answer it as it is then, once nothing of it is left."""
        caller, _ = await self._admission.small(request)
        key = self._key(agent, session_id)
        await self._sessions.stop(key, caller)
        return json_response((await self._sessions.view(key, caller)).as_json())

    def _key(self, agent: str, session_id: str) -> SessionKey:
        return SessionKey(agent_or_former(agent, self._config.agents), checked_session_id(decoded(session_id)))

    async def _tasks(self, request: Request, key: SessionKey) -> Sequence[str]:
        if self._task_client is None:
            return ()
        with refusing():
            page = await self._task_client.on_behalf_of(request.headers).list(
                agent=key.agent, session_id=key.session_id, states=(), page_size=MAX_TASKS, token=""
            )
        return [task_text(task) for task in page.tasks]


def _states(request: Request) -> frozenset[ViewState]:
    given = request.query.get("state", [])
    names = {name.strip().upper() for value in given for name in value.split(",") if name.strip()}
    if unknown := sorted(names - set(ViewState)):
        raise invalid(f"state: {unknown[0][:100]!a} is none of {', '.join(ViewState)}")
    return frozenset(map(ViewState, names))


def _client_token(body: bytes) -> str:
    """Return what makes a repeat of a stop one; empty for nothing. Raises ApiError 400."""
    if not body.strip():
        return ""
    token = read_object(body).get("clientToken")
    if token is None:
        return ""
    if not (isinstance(token, str) and 33 <= len(token) <= 256 and _CLIENT_TOKEN.fullmatch(token)):
        raise invalid("clientToken has 33 to 256 letters, digits and hyphens")
    return token
