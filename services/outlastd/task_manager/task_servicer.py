"""TaskService over gRPC: checks what was asked, asks the use cases, answers messages."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import Any

from google.protobuf.empty_pb2 import Empty

from outlast.core.errors import InvalidField, SessionNotFound
from outlast.core.event import TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TraceContext
from outlast.core.task_id import parse_task_name
from outlast.core.validation import MAX_ID, MAX_NAME, check_duration, check_text
from outlast.limits import WAIT_SECONDS
from outlast.telemetry.propagation import trace_context_from
from outlast.telemetry.task_trace import own_trace_context
from outlast.v1 import task_pb2, task_service_pb2
from outlast.v1.task_service_pb2_grpc import TaskServiceServicer
from outlast.wire.tasks import (
    BASIC,
    FULL,
    event_to_proto,
    json_from_text,
    state_from_proto,
    task_to_proto,
    trace_from_proto,
)
from outlast.wire.times import duration_from_proto
from outlastd.stores.port import TaskFilter
from outlastd.task_manager.answering import Context, answering
from outlastd.task_manager.auth import caller_of, scope_of_call
from outlastd.task_manager.checks import check_new_task
from outlastd.task_manager.pages import decode_page_token, encode_page_token
from outlastd.task_manager.tasks import Tasks
from outlastd.task_manager.watching import Watching

#: Tasks on a page when none were asked for, and at the most.
DEFAULT_PAGE, MAX_PAGE = 50, 1_000
#: Seconds that one WaitTask may take.
LONGEST_CALL = timedelta(seconds=WAIT_SECONDS)


class TaskServicer(TaskServiceServicer):
    """Adapts the use cases to gRPC."""

    def __init__(self, tasks: Tasks, watching: Watching, agent: str = "") -> None:
        """``agent`` is whose task a CreateTask without one is; empty where the task manager serves several."""
        self._tasks = tasks
        self._watching = watching
        self._agent = agent
        #: The event that was shown last, and its message: the same for all who watch the task.
        self._shown: tuple[TaskEvent, task_service_pb2.WatchTaskResponse] | None = None

    async def CreateTask(self, request: task_service_pb2.CreateTaskRequest, context: Context) -> task_pb2.Task:
        """Submit a task to an agent."""
        async with answering(context):
            return task_to_proto(await self._tasks.create(self._new_task(request, context), caller_of(context)))

    async def GetTask(self, request: task_service_pb2.GetTaskRequest, context: Context) -> task_pb2.Task:
        """Look one task up."""
        async with answering(context):
            view = _view(request.view, FULL)
            return task_to_proto(await self._tasks.get(await self._reach(request.name)), view)

    async def ListTasks(
        self, request: task_service_pb2.ListTasksRequest, context: Context
    ) -> task_service_pb2.ListTasksResponse:
        """List tasks, the newest first."""
        async with answering(context):
            try:
                which = scope_of_call().narrow(_filter(request))
            except SessionNotFound:
                return task_service_pb2.ListTasksResponse()
            if request.page_size < 0:
                raise InvalidField("page_size", f"{request.page_size} is negative")
            size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
            after = decode_page_token(request.page_token, which) if request.page_token else None
            view = _view(request.view, BASIC)
            page = await self._tasks.list(which, size, after, full=view == FULL)
            return task_service_pb2.ListTasksResponse(
                tasks=[task_to_proto(task, view) for task in page.tasks],
                next_page_token=encode_page_token(page.end, which) if page.end else "",
            )

    async def DeleteTask(self, request: task_service_pb2.DeleteTaskRequest, context: Context) -> Empty:
        """Delete a terminal task."""
        async with answering(context):
            await self._tasks.delete(await self._reach(request.name))
            return Empty()

    async def RetryTask(self, request: task_service_pb2.RetryTaskRequest, context: Context) -> task_pb2.Task:
        """Submit a new task with the arguments of a terminal one."""
        async with answering(context):
            new = await self._tasks.retry(
                await self._reach(request.name),
                caller=caller_of(context),
                idempotency_key=check_text("idempotency_key", request.idempotency_key, MAX_NAME),
                trace_context=_trace_of(context),
            )
            return task_to_proto(new)

    async def CancelTask(self, request: task_service_pb2.CancelTaskRequest, context: Context) -> task_pb2.Task:
        """Ask a task to stop."""
        async with answering(context):
            grace = _duration(request, "grace")
            if grace is not None:
                check_duration("grace", grace, zero=True)
            task_id = await self._reach(request.name)
            return task_to_proto(await self._tasks.cancel(task_id, force=request.force, grace=grace))

    async def WaitTask(self, request: task_service_pb2.WaitTaskRequest, context: Context) -> task_pb2.Task:
        """Wait until a task is terminal."""
        async with answering(context):
            view = _view(request.view, FULL)
            timeout = _duration(request, "timeout")
            if timeout is None:
                timeout = LONGEST_CALL
            if timeout < timedelta():
                raise InvalidField("timeout", "is negative")
            task_id = await self._reach(request.name)
            task = await self._watching.wait(task_id, min(timeout, LONGEST_CALL).total_seconds())
            return task_to_proto(task, view)

    # Written with context.write and not as a generator: a generator that a broken call leaves suspended would hold
    # its subscription until it is collected.
    async def WatchTask(  # type: ignore[override]
        self, request: task_service_pb2.WatchTaskRequest, context: Context
    ) -> None:
        """Stream every event of a task after a generation."""
        async with answering(context):
            if request.after_generation < 0:
                raise InvalidField("after_generation", f"{request.after_generation} is negative")
            task_id = await self._reach(request.name)
            async with aclosing(self._watching.watch(task_id, request.after_generation)) as events:
                async for event in events:
                    await context.write(self._show(event))

    async def WatchSession(  # type: ignore[override]
        self, request: task_service_pb2.WatchSessionRequest, context: Context
    ) -> None:
        """Stream every event of all tasks of a session after a cursor."""
        async with answering(context):
            session_id = check_text("session_id", request.session_id, MAX_ID, required=True)
            cursor = check_text("cursor", request.cursor, MAX_ID)
            agent = check_text("agent", request.agent, MAX_NAME)
            which = scope_of_call().narrow(TaskFilter(session_id=session_id, agent=agent))
            async with aclosing(self._watching.watch_session(session_id, cursor, which.agent)) as events:
                async for each in events:
                    event = event_to_proto(each.event)
                    await context.write(task_service_pb2.WatchSessionResponse(event=event, cursor=each.cursor))

    def _show(self, event: TaskEvent) -> task_service_pb2.WatchTaskResponse:
        if self._shown is None or self._shown[0] is not event:
            self._shown = event, task_service_pb2.WatchTaskResponse(event=event_to_proto(event))
        return self._shown[1]

    async def _reach(self, name: str) -> int:
        """Return the id of the task with a name; raise TaskNotFound when the caller may not know of it."""
        task_id, scope = _task_id(name), scope_of_call()
        if scope.key is not None:
            scope.check_task(await self._tasks.get(task_id))
        return task_id

    def _new_task(self, request: task_service_pb2.CreateTaskRequest, context: Context) -> Task:
        agent, session_id = scope_of_call().place(request.agent, request.session_id)
        task = Task(
            task_id=0,
            task_type=request.task_type,
            agent=agent or self._agent,
            state=TaskState.SUBMITTED,
            session_id=session_id,
            request_id=request.request_id,
            max_attempts=request.max_attempts or 1,
            input=json_from_text(request.input),
            labels=dict(request.labels),
            trace_context=trace_from_proto(request.trace_context)
            if request.HasField("trace_context")
            else _trace_of(context),
            idempotency_key=request.idempotency_key,
            timeout=_duration(request, "timeout"),
            backoff=_duration(request, "backoff"),
            queue_timeout=_duration(request, "queue_timeout"),
        )
        check_new_task(task)
        return task


def _task_id(name: str) -> int:
    task_id = parse_task_name(name)
    if task_id is None:
        raise InvalidField("name", "is no task's name: tasks/ID with a positive number")
    return task_id


def _trace_of(context: Context) -> TraceContext:
    """Return the trace of a task that a call makes: the call's, else a new one where spans are exported."""
    called = trace_context_from(context.invocation_metadata() or ())
    return called if called.traceparent else own_trace_context()


def _duration(request: Any, field: str) -> timedelta | None:
    """Return a field that is a Duration, None where it is absent."""
    return duration_from_proto(getattr(request, field), field) if request.HasField(field) else None


def _view(view: int, default: task_pb2.TaskView.ValueType) -> task_pb2.TaskView.ValueType:
    if view == task_pb2.TASK_VIEW_UNSPECIFIED:
        return default
    if view not in (BASIC, FULL):
        raise InvalidField("view", f"{view} is no TaskView")
    return task_pb2.TaskView.ValueType(view)


def _filter(request: task_service_pb2.ListTasksRequest) -> TaskFilter:
    states = frozenset(state_from_proto(state, "states") for state in request.states if state)
    # STATE_UNSPECIFIED among them means any state.
    return TaskFilter(
        states=states if len(states) == len(set(request.states)) else frozenset(),
        session_id=check_text("session_id", request.session_id, MAX_ID),
        agent=check_text("agent", request.agent, MAX_NAME),
    )
