"""A TaskService that answers from a script, for what the real one says only in rare moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf import duration_pb2, empty_pb2
from google.rpc.error_details_pb2 import RetryInfo

from outlast.core.errors import OutlastError, TaskNotFound
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceServicer
from outlast.wire.errors import DETAILS_KEY, to_status

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ScriptedTaskService(TaskServiceServicer):
    """Knows the tasks and events that the test gave it."""

    def __init__(self) -> None:
        self.tasks: dict[str, task_pb2.Task] = {}
        self.events: list[task_pb2.TaskEvent] = []
        #: Raised by every method while it is set: an error of ours, or a bare gRPC status.
        self.failure: OutlastError | grpc.StatusCode | None = None
        #: What the RetryInfo of an error says, where it has one.
        self.retry_seconds: float | None = None
        #: How a wait fails, in order, before one does not.
        self.wait_failures: list[grpc.StatusCode] = []
        #: How each watch ends, in order: with a status, or (None, and those that are not listed) at its end.
        self.watch_failures: list[grpc.StatusCode | None] = []
        #: The sessions' cursors that are known, in the order of ``events``.
        self.cursors: list[str] = []
        self.hold_watch = asyncio.Event()
        self.hold_watch.set()
        self.watch_ended = asyncio.Event()
        self.asked: list[Any] = []
        #: The metadata that came with each of them.
        self.metadata: list[dict[str, str | bytes]] = []

    def add(self, task_id: int, **fields: Any) -> task_pb2.Task:
        """Have a task; it is the agent's unless ``fields`` say otherwise."""
        known: dict[str, Any] = {"agent": "agent", "task_type": "work", "state": task_pb2.Task.WORKING, "generation": 1}
        task = task_pb2.Task(name=f"tasks/{task_id}", task_id=task_id, **known | fields)
        self.tasks[task.name] = task
        return task

    async def _look_up(self, request: Any, context: Context) -> task_pb2.Task:
        self.asked.append(request)
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if isinstance(self.failure, grpc.StatusCode):
            await context.abort(self.failure, "so the script says")
        error = self.failure or (None if request.name in self.tasks else TaskNotFound(request.name))
        if error is not None:
            status = to_status(error)
            if self.retry_seconds is not None:
                del status.details[1:]
                delay = duration_pb2.Duration(seconds=int(self.retry_seconds), nanos=int(self.retry_seconds % 1 * 1e9))
                status.details.add().Pack(RetryInfo(retry_delay=delay))
            context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))
            code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
            await context.abort(code, status.message)
        return self.tasks[request.name]

    async def CreateTask(self, request: pb.CreateTaskRequest, context: Context) -> task_pb2.Task:
        """Not asked for by the front door."""
        raise NotImplementedError

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> task_pb2.Task:
        """Answer a task."""
        return await self._look_up(request, context)

    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        """Answer every task of the session."""
        self.asked.append(request)
        tasks = [task for task in self.tasks.values() if request.session_id in ("", task.session_id)]
        return pb.ListTasksResponse(tasks=tasks, next_page_token="more" if request.page_size else "")

    async def CancelTask(self, request: pb.CancelTaskRequest, context: Context) -> task_pb2.Task:
        """Answer the task as it stands."""
        return await self._look_up(request, context)

    async def RetryTask(self, request: pb.RetryTaskRequest, context: Context) -> task_pb2.Task:
        """Answer a new task with the next id."""
        old = await self._look_up(request, context)
        return self.add(old.task_id + 1, state=task_pb2.Task.SUBMITTED, labels={"outlast.retry_of": str(old.task_id)})

    async def DeleteTask(self, request: pb.DeleteTaskRequest, context: Context) -> empty_pb2.Empty:
        """Forget a task."""
        del self.tasks[(await self._look_up(request, context)).name]
        return empty_pb2.Empty()

    async def WaitTask(self, request: pb.WaitTaskRequest, context: Context) -> task_pb2.Task:
        """Answer the task at once, unless it is to fail first."""
        if self.wait_failures:
            await context.abort(self.wait_failures.pop(0), "so the script says")
        return await self._look_up(request, context)

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Context) -> AsyncIterator[pb.WatchTaskResponse]:
        """Stream the events."""
        self.asked.append(request)
        try:
            for event in self.events:
                if event.generation > request.after_generation:
                    yield pb.WatchTaskResponse(event=event)
            await self._end_watch(context)
        finally:
            self.watch_ended.set()

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        """Stream the events after the cursor."""
        self.asked.append(request)
        if request.cursor and request.cursor not in self.cursors:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "cursor: is none of ours")
        first = self.cursors.index(request.cursor) + 1 if request.cursor else 0
        for event, cursor in list(zip(self.events, self.cursors, strict=True))[first:]:
            yield pb.WatchSessionResponse(event=event, cursor=cursor)
        await self._end_watch(context)

    async def _end_watch(self, context: Context) -> None:
        await self.hold_watch.wait()
        failure = self.watch_failures.pop(0) if self.watch_failures else None
        if failure is not None:
            await context.abort(failure, "so the script says")
