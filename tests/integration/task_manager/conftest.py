"""A real task manager over real sockets, on a real SQLite store."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.server import Bound, ServerSettings, TaskManagerServer

from .speaking import Seen

Serve = Callable[..., Awaitable[Bound]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TaskStore]:
    """Return an empty store."""
    store = await SQLiteTaskStore.open(tmp_path / "outlast.db")
    yield store
    await store.close()


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Return a path that is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        yield Path(folder, "manager.sock")


@pytest.fixture
def seen() -> Seen:
    """Return what the task manager has shown of its tasks."""
    return Seen()


@pytest.fixture
async def serve(store: TaskStore, seen: Seen) -> AsyncIterator[Serve]:
    """Return a function that starts a task manager with given settings on a free port of loopback."""
    servers: list[TaskManagerServer] = []

    async def start(store: TaskStore = store, **settings: object) -> Bound:
        chosen = replace(ServerSettings(listen="127.0.0.1:0"), **settings)  # type: ignore[arg-type]
        server = TaskManagerServer(store, chosen, seen)
        bound = await server.start()
        servers.append(server)
        return bound

    yield start
    for server in servers:
        await server.stop(0)


@pytest.fixture
async def channel(serve: Serve) -> AsyncIterator[grpc.aio.Channel]:
    """Return a channel to a task manager that serves everything on TCP."""
    bound = await serve()
    async with grpc.aio.insecure_channel(bound.public) as channel:
        yield channel


@pytest.fixture
def tasks(channel: grpc.aio.Channel) -> TaskServiceStub:
    """Return a client of TaskService."""
    return TaskServiceStub(channel)
