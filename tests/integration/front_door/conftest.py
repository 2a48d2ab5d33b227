"""A front door on a real socket, with the agent, the durability and the task service of the test's choice."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from outlast.context import RequestContext
from outlast.ping import PingBoard, PingStatus
from outlast.tasks.call_pool import CallPool
from outlast.tasks.channel import Replicas
from outlast.tasks.ledger import Ledger
from outlast.tasks.loops import LoopThread
from outlast.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from outlastd.front_door.server import FrontDoor, FrontDoorOptions, Runtime

from .task_service import ScriptedTaskService


class ScriptedDurability:
    """A task manager that is there, unless the test says otherwise."""

    def __init__(self) -> None:
        self.unavailable: Exception | None = None
        self.acknowledge: Callable[[int], Awaitable[None]] | None = None

    def available(self) -> None:
        """Raise what the test wants raised."""
        if self.unavailable is not None:
            raise self.unavailable

    async def acknowledged(self, watermark: int, timeout: float) -> None:
        """Do what the test wants done."""
        if self.acknowledge is not None:
            await self.acknowledge(watermark)


class Agent:
    """What the front door asks of an App."""

    def __init__(self) -> None:
        self.entrypoint_handler: Callable[..., Any] | None = None
        self.websocket_handler: Callable[..., Any] | None = None
        self.debug = False
        self.ledger = Ledger()
        self.loop = LoopThread("outlast-agent")
        self.pool = CallPool(threads=4, waiting=4)
        self.ping = PingBoard(self.ledger, self.loop, time_limit=0.2)
        self.durability = ScriptedDurability()
        self.tasks = ScriptedTaskService()

    def get_async_task_info(self) -> dict[str, Any]:
        """Count the live tasks."""
        return {"active_count": len(self.ledger.live()), "running_jobs": []}

    def make_context(self, session_id: str | None, request_headers: dict[str, str] | None, request: Any) -> Any:
        """Make what App makes."""
        return RequestContext(session_id, request_headers, request)

    def force_ping_status(self, status: PingStatus) -> None:
        """Force the board."""
        self.ping.force(status)

    def clear_forced_ping_status(self) -> None:
        """Clear the board."""
        self.ping.force(None)


class Client:
    """Speaks to the front door."""

    def __init__(self, session: aiohttp.ClientSession, door: FrontDoor) -> None:
        self.session = session
        self.door = door
        self.url = "http://localhost" if door.address.startswith("unix:") else f"http://127.0.0.1:{door.port}"

    async def get(self, path: str, **headers: str) -> Answer:
        """Send a GET; an underscore in the name of a header is a hyphen."""
        return await self.ask("GET", path, headers=_dashed(headers))

    async def invoke(self, payload: object = None, **headers: str) -> Answer:
        """Send a payload to the entrypoint."""
        return await self.ask("POST", "/invocations", data=json.dumps(payload).encode(), headers=_dashed(headers))

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        """Send any request."""
        async with self.session.request(method, self.url + path, **options) as response:
            return Answer(response.status, await response.read(), dict(response.headers))


class Answer:
    """What came back."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class RawConnection:
    """A connection without a client's manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def leave(self) -> None:
        """Break the connection off."""
        self.writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


Open = Callable[..., Awaitable[Client]]
Connect = Callable[..., Awaitable[RawConnection]]


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def agent() -> Agent:
    """An agent without an entrypoint, whose loop runs."""
    agent = Agent()
    _ = agent.loop.loop
    return agent


@pytest.fixture
async def open_door(agent: Agent) -> AsyncIterator[Open]:
    """Open a front door for the agent, at an address or a Unix socket; options as of FrontDoorOptions."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_TaskServiceServicer_to_server(agent.tasks, server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channels = Replicas([f"127.0.0.1:{grpc_port}"])
    doors: list[FrontDoor] = []
    async with aiohttp.ClientSession() as session:

        async def open_one(host: str = "127.0.0.1", *, socket: Path | None = None, **options: Any) -> Client:
            runtime = Runtime(agent.ledger, agent.loop, agent.pool)
            door = FrontDoor(agent, agent.ping, runtime, agent.durability, channels, FrontDoorOptions(**options))
            if socket is not None:
                await door.start_socket(socket)
            else:
                await door.start(host, 0)
            doors.append(door)
            return Client(session, door)

        yield open_one
    for door in doors:
        await door.stop(grace=1.0)
    await channels.close()
    await server.stop(None)
    await asyncio.to_thread(agent.loop.close, 1.0)
    agent.pool.close()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open a raw connection to a front door and send bytes on it; broken off at the end of the test."""
    connections: list[RawConnection] = []

    async def open_one(client: Client, sent: bytes = b"", limit: int = 65536) -> RawConnection:
        connection = RawConnection(*await asyncio.open_connection("127.0.0.1", client.door.port, limit=limit))
        connections.append(connection)
        connection.writer.write(sent)
        return connection

    yield open_one
    for connection in connections:
        await connection.leave()


@pytest.fixture
def lines(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return the log lines written since the last call."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]

    return read
