"""How the tests speak to a task manager: as a worker over its stream, and as a client that expects a refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc.aio
import pytest

from outlast.core.errors import OutlastError
from outlast.core.operation import Action, Finish, Operation, Start
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceStub
from outlast.wire.errors import from_rpc_error
from outlast.wire.operations import operation_to_proto, result_from_proto

AT = datetime(2026, 11, 21, 8, 29, 59, 999_999, tzinfo=UTC)
START = Start("research")
DONE = Finish(TaskState.COMPLETED, result=b'{"answer": 42}')


class Seen:
    """A Projector that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int]] = []

    def started(self, task: Task) -> None:
        """Remember that an attempt has begun."""
        self.lines.append(("started", task.task_id))

    def ended(self, task: Task) -> None:
        """Remember how a task has ended."""
        self.lines.append((task.state_reason or task.state.name, task.task_id))


class Speaker:
    """A worker's side of its stream."""

    def __init__(self, call: grpc.aio.StreamStreamCall[pb.ConnectRequest, pb.ConnectResponse]) -> None:
        self.call = call
        self.welcome = pb.Welcome()

    async def hello(self, worker_id: str = "worker-1", *task_types: str, agent: str = "agent") -> pb.Welcome:
        """Say hello and return the welcome."""
        await self.call.write(
            pb.ConnectRequest(hello=pb.Hello(worker_id=worker_id, agent=agent, task_types=task_types))
        )
        self.welcome = (await self.read()).welcome
        return self.welcome

    async def read(self) -> pb.ConnectResponse:
        """Return the next message."""
        response = await self.call.read()
        assert isinstance(response, pb.ConnectResponse), "the stream has ended"
        return response

    async def send(self, *operations: Operation) -> None:
        """Send a batch."""
        await self.send_raw(*(operation_to_proto(operation) for operation in operations))

    async def send_raw(self, *operations: pb.Operation) -> None:
        """Send a batch of messages, whatever is in them."""
        await self.call.write(pb.ConnectRequest(batch=pb.OperationBatch(operations=operations)))

    async def answers(self) -> dict[int, OutlastError | None]:
        """Return the next message, which has to be answers, by sequence."""
        response = await self.read()
        assert response.WhichOneof("message") == "results"
        return dict(result_from_proto(result) for result in response.results.results)

    async def do(self, *operations: Operation) -> dict[int, OutlastError | None]:
        """Send a batch and return its answers."""
        await self.send(*operations)
        return await self.answers()

    async def command(self) -> pb.Command:
        """Return the next message, which has to be a command."""
        response = await self.read()
        assert response.WhichOneof("message") == "command"
        return response.command


def operation(sequence: int, task_id: int, action: Action) -> Operation:
    """Return an operation."""
    return Operation(sequence, task_id, AT, action)


@asynccontextmanager
async def connected(channel: grpc.aio.Channel) -> AsyncIterator[Speaker]:
    """Give a worker's side of a new stream."""
    call = WorkerServiceStub(channel).Connect()
    try:
        yield Speaker(call)
    finally:
        call.cancel()


@asynccontextmanager
async def refused(kind: type[OutlastError], code: grpc.StatusCode) -> AsyncIterator[list[OutlastError]]:
    """Expect the call inside to be refused; the list holds the error afterwards."""
    found: list[OutlastError] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        yield found
    assert raised.value.code() == code
    error = from_rpc_error(raised.value)
    assert type(error) is kind
    found.append(error)
