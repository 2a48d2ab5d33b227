"""A TaskService that answers from a script, for what the real one says only in rare moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc
import grpc.aio

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
        #: How the watch ends: at its end, or with a status.
        self.watch_failure: grpc.StatusCode | None = None
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

    async def WaitTask(self, request: pb.WaitTaskRequest, context: Context) -> task_pb2.Task:
        """Answer the task at once."""
        return await self._look_up(request, context)

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Context) -> AsyncIterator[pb.WatchTaskResponse]:
        """Stream the events."""
        self.asked.append(request)
        try:
            for event in self.events:
                if event.generation > request.after_generation:
                    yield pb.WatchTaskResponse(event=event)
            await self.hold_watch.wait()
            if self.watch_failure is not None:
                await context.abort(self.watch_failure, "so the script says")
        finally:
            self.watch_ended.set()
