"""What the front door asks of the task manager, over gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import TypeAlias

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from outlast.tasks.channel import bearer
from outlast.telemetry.propagation import metadata_for, trace_context_from
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

#: Seconds that a question may take that waits for nothing.
CALL_TIMEOUT = 10.0
#: Seconds that one WaitTask waits at the most (task_service.proto).
MAX_WAIT = 60.0

Watch: TypeAlias = "grpc.aio.UnaryStreamCall[pb.WatchTaskRequest, pb.WatchTaskResponse]"


class TaskClient:
    """Asks a TaskService. Every method raises grpc.aio.AioRpcError when the call fails."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "") -> None:
        self._stub = TaskServiceStub(channel)
        self._metadata = bearer(token)

    def on_behalf_of(self, headers: Mapping[str, str]) -> TaskClient:
        """Return this client, with the trace context of a request's headers in the metadata of its calls."""
        client = copy(self)
        client._metadata = (*self._metadata, *metadata_for(trace_context_from(headers)))
        return client

    async def get(self, name: str, *, basic: bool = False) -> task_pb2.Task:
        """Return a task; ``basic`` leaves its result, input and metadata out."""
        view = task_pb2.TASK_VIEW_BASIC if basic else task_pb2.TASK_VIEW_FULL
        request = pb.GetTaskRequest(name=name, view=view)
        return await self._stub.GetTask(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def list(
        self,
        *,
        agent: str,
        session_id: str,
        states: Iterable[task_pb2.Task.State.ValueType],
        page_size: int,
        token: str,
    ) -> pb.ListTasksResponse:
        """Return a page of tasks; an empty ``session_id`` is any, no ``states`` are all."""
        request = pb.ListTasksRequest(
            agent=agent, session_id=session_id, states=states, page_size=page_size, page_token=token
        )
        return await self._stub.ListTasks(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def cancel(self, name: str) -> task_pb2.Task:
        """Ask a task to stop, and return it as it stands then."""
        return await self._stub.CancelTask(
            pb.CancelTaskRequest(name=name), timeout=CALL_TIMEOUT, metadata=self._metadata
        )

    async def wait(self, name: str, seconds: float) -> task_pb2.Task:
        """Return a task once it is terminal, or as it stands after ``seconds``."""
        timeout = Duration()
        timeout.FromNanoseconds(int(seconds * 1e9))
        request = pb.WaitTaskRequest(name=name, timeout=timeout)
        return await self._stub.WaitTask(request, timeout=seconds + CALL_TIMEOUT, metadata=self._metadata)

    def watch(self, name: str, after: int) -> Watch:
        """Return the call that streams a task's events after a generation."""
        return self._stub.WatchTask(
            pb.WatchTaskRequest(name=name, after_generation=after), metadata=self._metadata, wait_for_ready=False
        )
