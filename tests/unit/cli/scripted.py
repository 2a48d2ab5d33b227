"""A task manager that answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc.aio
from google.protobuf import empty_pb2

from outlast.core.errors import IllegalTransition, OutlastError, TaskNotFound
from outlast.core.state import TERMINAL, TaskState
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceServicer, add_TaskServiceServicer_to_server
from outlast.wire.errors import DETAILS_KEY, to_status

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Event = task_pb2.TaskEvent


class Scripted(TaskServiceServicer):
    """Answers from lists of tasks and events, and remembers what it was asked."""

    def __init__(self) -> None:
        self.address = ""
        self.tasks: list[task_pb2.Task] = []
        #: What a watch of whatever task or session gives; the cursors are "c1", "c2" and so on.
        self.events: list[task_pb2.TaskEvent] = []
        #: Before which generation a watch breaks off, once.
        self.break_before = 0
        #: Which generation a watch keeps back until it may go on.
        self.hold_before = 0
        self.go_on = asyncio.Event()
        #: Whether a watch stays open at its end.
        self.hold = False
        self.asked: list[Any] = []
        self.token = ""
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen: on a free port at first, then on the same again."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_TaskServiceServicer_to_server(self, self._server)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Break everything off."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def until_asked(self, kind: type[Any], times: int = 1) -> None:
        """Return once it has been asked this so often."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: sum(isinstance(asked, kind) for asked in self.asked) >= times)

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> task_pb2.Task:
        """Not asked for by the command line."""
        raise NotImplementedError

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> task_pb2.Task:
        """Answer the task of that name."""
        return await self._look_up(request, context)

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        """Answer pages of two."""
        await self._check(request, context)
        first = int(request.page_token or 0)
        last = first + min(2, request.page_size)
        token = str(last) if last < len(self.tasks) else ""
        return pb.ListTasksResponse(tasks=self.tasks[first:last], next_page_token=token)

    async def WaitTask(self, request: pb.WaitTaskRequest, context: Context) -> task_pb2.Task:
        """Wait until the task has ended, or for as long as was asked."""
        task = await self._look_up(request, context)
        try:
            async with asyncio.timeout(request.timeout.ToTimedelta().total_seconds()), self._changed:
                await self._changed.wait_for(lambda: TaskState(task.state) in TERMINAL)
        except TimeoutError:
            pass
        return task

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> task_pb2.Task:
        """Answer the task as it stands."""
        return await self._look_up(request, context)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> task_pb2.Task:
        """Answer a new task with the next id."""
        old = await self._look_up(request, context)
        new = a_task(old.task_id + 1, state=task_pb2.Task.SUBMITTED)
        self.tasks.append(new)
        return new

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: Context) -> empty_pb2.Empty:
        """Forget a task, unless it has not ended."""
        task = await self._look_up(request, context)
        if TaskState(task.state) not in TERMINAL:
            await self._refuse(context, IllegalTransition(task.task_id, "WORKING", "deleted"))
        self.tasks.remove(task)
        return empty_pb2.Empty()

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Context) -> AsyncIterator[pb.WatchTaskResponse]:
        """Stream the events behind a generation."""
        await self._check(request, context)
        async for event in self._events_behind(request.after_generation, context):
            yield pb.WatchTaskResponse(event=event)

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        """Stream the events behind a cursor."""
        await self._check(request, context)
        async for event in self._events_behind(int(request.cursor.removeprefix("c") or 0), context):
            yield pb.WatchSessionResponse(event=event, cursor=f"c{event.generation}")

    async def end(self, task: task_pb2.Task, state: task_pb2.Task.State.ValueType) -> None:
        """Have a task end, for those who wait."""
        async with self._changed:
            task.state = state
            self._changed.notify_all()

    async def _events_behind(self, generation: int, context: Context) -> AsyncIterator[task_pb2.TaskEvent]:
        for event in self.events:
            if event.generation == self.break_before:
                self.break_before = 0
                await context.abort(grpc.StatusCode.UNAVAILABLE, "so the script says")
            if event.generation == self.hold_before:
                await self.go_on.wait()
            if event.generation > generation:
                yield event
        if self.hold:
            await asyncio.Event().wait()

    async def _look_up(self, request: Any, context: Context) -> task_pb2.Task:
        await self._check(request, context)
        for task in self.tasks:
            if task.name == request.name:
                return task
        await self._refuse(context, TaskNotFound(request.name))
        raise AssertionError

    async def _check(self, request: Any, context: Context) -> None:
        async with self._changed:
            self.asked.append(request)
            self._changed.notify_all()
        metadata = dict(context.invocation_metadata() or ())
        if self.token and metadata.get("authorization") != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")

    async def _refuse(self, context: Context, error: OutlastError) -> None:
        status = to_status(error)
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        await context.abort(code, status.message, ((DETAILS_KEY, status.SerializeToString()),))


def a_task(number: int, **fields: Any) -> task_pb2.Task:
    """Return a completed task."""
    task = task_pb2.Task(
        name=f"tasks/{number}",
        task_id=number,
        task_type="research",
        state=task_pb2.Task.COMPLETED,
        agent="planner",
        session_id="s-1",
        attempt=1,
        max_attempts=1,
        result='{"found": ["研究", 12345678901234567890]}',
    )
    task.create_time.FromJsonString("2026-01-12T13:44:38Z")
    task.start_time.FromJsonString("2026-01-12T13:44:38Z")
    task.end_time.FromJsonString("2026-01-12T13:44:48.250Z")
    task.MergeFrom(task_pb2.Task(**fields))
    return task


def a_life(number: int = 7) -> list[task_pb2.TaskEvent]:
    """Return the events of a task that works, fails, works again, and completes."""
    states = task_pb2.Task
    name = f"tasks/{number}"
    events = [
        Event(task=name, kind=Event.STATE_CHANGED, state=states.WORKING, attempt=1),
        Event(task=name, kind=Event.PROGRESSED, state=states.WORKING, attempt=1),
        Event(task=name, kind=Event.STATE_CHANGED, state=states.SUBMITTED, state_reason="BACKOFF", attempt=1),
        Event(task=name, kind=Event.STATE_CHANGED, state=states.WORKING, attempt=2),
        Event(task=name, kind=Event.OUTPUT, state=states.WORKING, output='["Be", "es\\n", {"n": 1}]'),
        Event(task=name, kind=Event.CANCEL_REQUESTED, state=states.WORKING),
        Event(task=name, kind=Event.STATE_CHANGED, state=states.COMPLETED, result='{"n": 1}'),
    ]
    events[1].progress.fraction = 0.5
    events[1].progress.message = "half way"
    events[2].error.message = "no luck"
    for generation, event in enumerate(events, 1):
        event.generation = generation
        event.event_time.FromJsonString(f"2026-01-12T13:44:{30 + generation}Z")
    return events
