"""``/runtimes/{arn}/tasks``: what became of the work of a session, also after its end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from copy import copy

from outlast.core.session import SessionKey
from outlastd.front_door.access import Scope
from outlastd.front_door.request import Request
from outlastd.front_door.response import TEXT, Response
from outlastd.front_door.router import Router
from outlastd.front_door.task_client import TaskClient
from outlastd.front_door.tasks import Tasks
from outlastd.session_host.admission import Admission
from outlastd.session_host.api_error import not_found
from outlastd.session_host.arn import agent_of, decoded
from outlastd.session_host.call import check_query, named_session
from outlastd.session_host.config import HostConfig
from outlastd.session_host.room import Room
from outlastd.session_host.routing import Routes
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.watched import Watched


class TasksApi:
    """Answers for the tasks of the session that a request names in its header, as its agent's front door does."""

    def __init__(self, config: HostConfig, sessions: Sessions, admission: Admission, task_client: TaskClient) -> None:
        self._config = config
        self._sessions = sessions
        self._admission = admission
        self._task_client = task_client
        self._room = Room(config.max_requests, "requests for tasks")

    def route(self, routes: Routes) -> None:
        """Enter the paths."""
        for method in ("GET", "POST", "DELETE"):
            for below in ("", "/{}", "/{}/{}"):
                routes.add(method, f"/runtimes/{{}}/tasks{below}", self.answer)

    async def answer(self, request: Request, segment: str, *below: str) -> Response:
        """Answer what the front door's ``/tasks`` answers."""
        async with AsyncExitStack() as stay:
            stay.callback(self._room.enter())
            caller, _ = await self._admission.small(request)
            agent = agent_of(segment, self._config.agents)
            check_query(request)
            key = SessionKey(agent, named_session(request))
            await self._sessions.view(key, caller)  # what it may not see is not there
            router = Router()
            Tasks(self._task_client, _OneSession(key)).route(router)
            asked = copy(request)
            asked.path = "/".join(("/tasks", *map(decoded, below)))
            response = await router.dispatch(asked)
            if response.content_type == TEXT:
                raise not_found("There is nothing at this path")
            if not isinstance(response.body, bytes):
                response.body = Watched(response.body, stay.pop_all().aclose)
        return response


class _OneSession:
    """Whatever a request says, it sees the tasks of one session."""

    def __init__(self, key: SessionKey) -> None:
        self._scope = Scope(key.agent, key.session_id)

    def scope_of(self, request: Request) -> Scope:
        """Return the tasks of the session."""
        return self._scope
