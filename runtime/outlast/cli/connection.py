"""Where the task manager is that a command asks, and the way there: to the first replica that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio

from outlast.cli.options import set_variables
from outlast.core.errors import OutlastError, TaskManagerUnavailable
from outlast.settings.defaults import DEFAULT_TASK_MANAGER_LISTEN
from outlast.settings.model import load_settings
from outlast.tasks.channel import Replicas, bearer
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.errors import from_rpc_error

#: Seconds that one question may take.
TIMEOUT = 15.0
#: Seconds that a replica has to take the connection before the next one is tried.
_CONNECT = 3.0

Answer = TypeVar("Answer")
Metadata = tuple[tuple[str, str], ...]
Question = Callable[[TaskServiceStub, Metadata], Awaitable[Answer]]


@dataclass(frozen=True)
class Connection:
    """Where a task manager is, and what it is shown."""

    #: The addresses of its replicas; any of them will do.
    addresses: Sequence[str]
    token: str = ""
    #: With a PEM file of authorities the connection is TLS.
    tls_ca: Path | None = None
    #: Where traces are looked at, with ``{trace_id}`` in it; empty for nowhere.
    trace_url: str = ""

    @property
    def shown(self) -> str:
        """The addresses as they are told."""
        return ", ".join(self.addresses)


def connection(task_manager: str | None, token: str | None) -> Connection:
    """Return the connection that the options ask for, else the environment, else the default.

    Raises:
        StartRefused: an address or a variable of the environment cannot be taken.
    """
    set_variables({"OUTLAST_TASK_MANAGER": task_manager, "OUTLAST_TOKEN": token})
    settings = load_settings()
    addresses = settings.task_manager or settings.task_manager_listen or DEFAULT_TASK_MANAGER_LISTEN
    return Connection(addresses.split(","), settings.token or "", settings.tls_ca, settings.trace_url or "")


class Peer:
    """The task manager that a command speaks to: one of its replicas at a time."""

    def __init__(self, connection: Connection, replicas: Replicas) -> None:
        self.connection = connection
        self.metadata = bearer(connection.token)
        self._replicas = replicas

    @property
    def stub(self) -> TaskServiceStub:
        """The service of the replica that is asked at the moment."""
        return TaskServiceStub(self._replicas.current)

    @property
    def address(self) -> str:
        """Where that one is."""
        return self._replicas.address

    def move_on(self) -> None:
        """Ask the next replica from now on: this one has gone away."""
        self._replicas.move_on()

    async def ask(self, question: Question[Answer]) -> Answer:
        """Return the first answer that a replica gives; a question may reach several.

        Raises:
            grpc.aio.AioRpcError: no replica has answered, or the one that did says no.
        """
        for _ in self.connection.addresses[1:]:
            if await self._connected():
                try:
                    return await question(self.stub, self.metadata)
                except grpc.aio.AioRpcError as failure:
                    if failure.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
            self.move_on()
        return await question(self.stub, self.metadata)

    async def _connected(self) -> bool:
        try:
            async with asyncio.timeout(_CONNECT):
                await self._replicas.current.channel_ready()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def open_peer(connection: Connection) -> AsyncIterator[Peer]:
    """Open the way to a task manager. A failed call inside is raised as the OutlastError that it stands for."""
    replicas = Replicas(connection.addresses, tls_root=connection.tls_ca)
    peer = Peer(connection, replicas)
    try:
        yield peer
    except grpc.aio.AioRpcError as failure:
        raise _told(failure, peer) from None
    finally:
        await replicas.close()


def ask(connection: Connection, question: Question[Answer]) -> Answer:
    """Ask one question on a connection of its own. Raises what the task manager says, or TaskManagerUnavailable."""

    async def on_connection() -> Answer:
        async with open_peer(connection) as peer:
            return await peer.ask(question)

    return asyncio.run(on_connection())


def _told(failure: grpc.aio.AioRpcError, peer: Peer) -> OutlastError:
    match failure.code():
        case grpc.StatusCode.UNAVAILABLE if not failure.trailing_metadata():
            cure = "start one with `outlast run FILE`, or name another with --task-manager"
            return TaskManagerUnavailable(f"no task manager answers at {peer.connection.shown}: {cure}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return TaskManagerUnavailable(f"{peer.address} did not answer within {TIMEOUT:g} s")
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return TaskManagerUnavailable(f"{peer.address} asks for another token: set OUTLAST_TOKEN or give --token")
        case _:
            return from_rpc_error(failure)
