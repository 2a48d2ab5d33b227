"""What the front door asks of the task manager, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Protocol, TypeAlias

import grpc.aio

from outlast.tasks.channel import bearer
from outlast.tasks.pauses import Pauses
from outlast.tasks.watching import FINAL
from outlast.telemetry.propagation import metadata_for, trace_context_from
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.times import seconds_to_proto

#: Seconds that a question may take that waits for nothing.
CALL_TIMEOUT = 10.0

Watch: TypeAlias = "grpc.aio.UnaryStreamCall[pb.WatchTaskRequest, pb.WatchTaskResponse]"
SessionWatch: TypeAlias = "grpc.aio.UnaryStreamCall[pb.WatchSessionRequest, pb.WatchSessionResponse]"


class Channels(Protocol):
    """The ways to the replicas of a task manager."""

    @property
    def current(self) -> grpc.aio.Channel:
        """The channel to the replica that answers now, as far as is known."""
        ...


class TaskClient:
    """Asks a TaskService. Every method raises grpc.aio.AioRpcError when the call fails."""

    def __init__(self, channels: Channels, token: str = "") -> None:
        self._channels = channels
        self._channel = channels.current
        self._stub = TaskServiceStub(self._channel)
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
        return await self._service.GetTask(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

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
        return await self._service.ListTasks(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def cancel(self, name: str, *, force: bool = False, grace: float | None = None) -> task_pb2.Task:
        """Ask a task to stop, and return it as it stands then; ``grace`` in seconds, None for the task manager's."""
        request = pb.CancelTaskRequest(name=name, force=force, grace=seconds_to_proto(grace))
        return await self._service.CancelTask(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def retry(self, name: str, idempotency_key: str) -> task_pb2.Task:
        """Submit a new task with the arguments of a terminal one, and return it."""
        request = pb.RetryTaskRequest(name=name, idempotency_key=idempotency_key)
        return await self._service.RetryTask(request, timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def delete(self, name: str) -> None:
        """Delete a terminal task."""
        await self._service.DeleteTask(pb.DeleteTaskRequest(name=name), timeout=CALL_TIMEOUT, metadata=self._metadata)

    async def wait(self, name: str, seconds: float) -> task_pb2.Task:
        """Return a task once it is terminal, or as it stands after ``seconds``.

        A task manager that goes away meanwhile is asked again, for as long as there is time.
        """
        loop, pauses = asyncio.get_running_loop(), Pauses()
        deadline = loop.time() + seconds
        while True:
            left = max(deadline - loop.time(), 0.0)
            request = pb.WaitTaskRequest(name=name, timeout=seconds_to_proto(left))
            try:
                return await self._service.WaitTask(request, timeout=left + CALL_TIMEOUT, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() in FINAL or loop.time() >= deadline:
                    raise
            await pauses.pause()

    def watch(self, name: str, after: int) -> Watch:
        """Return the call that streams a task's events after a generation."""
        return self._service.WatchTask(
            pb.WatchTaskRequest(name=name, after_generation=after), metadata=self._metadata, wait_for_ready=False
        )

    def watch_session(self, session_id: str, cursor: str, *, agent: str) -> SessionWatch:
        """Return the call that streams the events of a session's tasks after a cursor; empty for all of them."""
        return self._service.WatchSession(
            pb.WatchSessionRequest(session_id=session_id, cursor=cursor, agent=agent),
            metadata=self._metadata,
            wait_for_ready=False,
        )

    @property
    def _service(self) -> TaskServiceStub:
        """The stub of the channel that answers now."""
        if self._channels.current is not self._channel:
            self._channel = self._channels.current
            self._stub = TaskServiceStub(self._channel)
        return self._stub
