"""``/tasks``: what became of the work that invocations started."""

from __future__ import annotations

from outlast.core.state import TERMINAL, TaskState
from outlast.limits import WAIT_SECONDS
from outlast.v1 import task_pb2
from outlast.wire.json_text import page_text, task_text
from outlastd.front_door import parameters
from outlastd.front_door.access import Scope, Scopes, no_such_task, task_name
from outlastd.front_door.errors import refusing
from outlastd.front_door.event_stream import EventStream
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import EVENT_STREAM, Response, json_text_response
from outlastd.front_door.router import Router
from outlastd.front_door.sse import KEEPALIVE_SECONDS
from outlastd.front_door.task_client import TaskClient
from outlastd.front_door.task_events import session_events, task_events

IDEMPOTENCY_KEY = "Idempotency-Key"
LAST_EVENT_ID = "Last-Event-ID"
#: Seconds that the answer to a watch waits for the first event or for a refusal, which is told by its status.
REFUSAL_WAIT = 0.25
_MAX_GENERATION = (1 << 63) - 1


class Tasks:
    """Answers for the tasks of this agent that the caller may see; others do not exist for it."""

    def __init__(self, client: TaskClient, access: Scopes, *, keepalive: float = KEEPALIVE_SECONDS) -> None:
        self._client = client
        self._access = access
        self._keepalive = keepalive

    def route(self, router: Router) -> None:
        """Enter the paths."""
        router.add("GET", "/tasks", self.list)
        router.add("GET", "/tasks/events", self.session_events)
        router.add("GET", "/tasks/{}", self.get)
        router.add("DELETE", "/tasks/{}", self.delete)
        router.add("POST", "/tasks/{}/cancel", self.cancel)
        router.add("POST", "/tasks/{}/retry", self.retry)
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
                states=parameters.states(request),
                page_size=parameters.whole(request, "pageSize", 1000),
                token=request.parameter("pageToken"),
            )
        return json_text_response(page_text(page))

    async def get(self, request: Request, task_id: str) -> Response:
        """Answer one task."""
        return json_text_response(task_text(await self._look_up(request, task_id, basic=False)))

    async def delete(self, request: Request, task_id: str) -> Response:
        """Delete a terminal task."""
        task = await self._look_up(request, task_id)
        with refusing():
            await self._asking(request).delete(task.name)
        return Response(204, b"", None)

    async def cancel(self, request: Request, task_id: str) -> Response:
        """Ask a task to stop, and answer it as it stands then; ``force`` ends it after ``grace`` seconds anyway."""
        force, grace = parameters.flag(request, "force"), parameters.seconds(request, "grace")
        task = await self._look_up(request, task_id)
        with refusing():
            return json_text_response(
                task_text(await self._asking(request).cancel(task.name, force=force, grace=grace))
            )

    async def retry(self, request: Request, task_id: str) -> Response:
        """Submit a new task with the arguments of a terminal one, and answer it; ``Idempotency-Key`` makes it one."""
        task = await self._look_up(request, task_id)
        with refusing():
            key = self._access.scope_of(request).key(request.headers.get(IDEMPOTENCY_KEY, ""))
            new = await self._asking(request).retry(task.name, key)
        return json_text_response(task_text(new))

    async def wait(self, request: Request, task_id: str) -> Response:
        """Answer a task once it is terminal, or as it stands after ``timeout`` seconds, 60 at the most."""
        seconds = parameters.seconds(request, "timeout")
        task = await self._look_up(request, task_id)
        with refusing():
            return json_text_response(
                task_text(
                    await self._asking(request).wait(
                        task.name, WAIT_SECONDS if seconds is None else min(seconds, WAIT_SECONDS)
                    )
                )
            )

    async def events(self, request: Request, task_id: str) -> Response:
        """Answer a task's events after ``Last-Event-ID`` (or ``after``), each once, until the terminal one."""
        after = parameters.whole(request, "after", _MAX_GENERATION, request.headers.get(LAST_EVENT_ID))
        task = await self._look_up(request, task_id)
        if after >= task.generation and TaskState(task.state) in TERMINAL:
            # An EventSource comes back when a stream ends; this is how it is told that there is nothing more.
            return Response(204, b"", None)
        return self._stream(EventStream(task_events(self._asking(request), task.name, after), self._keepalive))

    async def session_events(self, request: Request) -> Response:
        """Answer the events of all tasks of a ``session`` after ``Last-Event-ID`` (or ``after``), each once."""
        scope = self._access.scope_of(request)
        session_id = request.parameter("session") or scope.session_id
        if not session_id:
            raise parameters.refused("session", "name the session whose tasks to watch")
        if scope.session_id not in (None, session_id):
            raise Refusal(404, "no such session", code="NOT_FOUND")
        cursor = request.headers.get(LAST_EVENT_ID) or request.parameter("after")
        client = self._asking(request)
        body = EventStream(session_events(client, session_id, cursor, agent=scope.agent), self._keepalive)
        try:
            await body.begin(REFUSAL_WAIT)
        except BaseException:
            await body.aclose()
            raise
        return self._stream(body)

    def _stream(self, body: EventStream) -> Response:
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
