"""How the tests speak to a task manager: as a worker over its stream, and as a client that expects a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc.aio
import pytest

from outlast.core.errors import OutlastError
from outlast.core.event import Change
from outlast.core.operation import Action, Finish, Operation, Start
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.tasks.channel import bearer
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.task_pb2 import Task as TaskMessage
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

    def runs_again(self, change: Change) -> None:
        """Remember that an attempt is followed by another one."""
        self.lines.append((f"again after {change.task.state_reason}", change.task.task_id))

    def ended(self, task: Task) -> None:
        """Remember how a task has ended."""
        self.lines.append((task.state_reason or task.state.name, task.task_id))


class Speaker:
    """A worker's side of its stream."""

    def __init__(self, call: Any) -> None:
        """``call`` is grpc.aio's, or a stream in memory, which has the same shape."""
        self.call = call
        self.welcome = pb.Welcome()

    async def hello(
        self, worker_id: str = "worker-1", *task_types: str, agent: str = "agent", **more: object
    ) -> pb.Welcome:
        """Say hello and return the welcome."""
        hello = pb.Hello(worker_id=worker_id, agent=agent, task_types=task_types, **more)  # type: ignore[arg-type]
        await self.call.write(pb.ConnectRequest(hello=hello))
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

    async def beat(self, number: int = 1, *, draining: bool = False) -> None:
        """Send a sign of life."""
        await self.call.write(pb.ConnectRequest(heartbeat=pb.Heartbeat(number=number, draining=draining)))

    async def lease(self, number: int = 1, *, draining: bool = False) -> pb.Lease:
        """Send a sign of life and return its answer, which has to be the next message."""
        await self.beat(number, draining=draining)
        response = await self.read()
        assert response.WhichOneof("message") == "lease"
        return response.lease

    async def read_beating(self) -> pb.ConnectResponse:
        """Return the next message, which there will be: a sign of life is sent first."""
        await self.beat()
        return await self.read()

    async def command(self) -> pb.Command:
        """Return the next message, which has to be a command."""
        response = await self.read()
        assert response.WhichOneof("message") == "command"
        return response.command

    async def given(self) -> TaskMessage:
        """Return the task of the next message, which has to give one."""
        command = await self.command()
        assert command.WhichOneof("command") == "run"
        return command.run.task

    async def nothing(self, seconds: float = 0.2) -> None:
        """Expect no message for a while. The stream is of no use afterwards."""
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.call.read()

    async def refusal(self) -> OutlastError:
        """Return why the stream ends, whatever came before."""
        try:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        raise AssertionError("the stream has ended well")


def operation(sequence: int, task_id: int, action: Action) -> Operation:
    """Return an operation."""
    return Operation(sequence, task_id, AT, action)


@asynccontextmanager
async def connected(channel: grpc.aio.Channel, token: str = "") -> AsyncIterator[Speaker]:
    """Give a worker's side of a new stream."""
    call = WorkerServiceStub(channel).Connect(metadata=bearer(token))
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
