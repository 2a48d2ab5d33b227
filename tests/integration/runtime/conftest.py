"""A task manager that can be stopped and started again, and a worker stream to it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from outlast.app import App
from outlast.tasks.channel import open_channel
from outlast.tasks.stream import WorkerIdentity, WorkerStream
from outlast.tasks.submitted import run_submitted
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer


class Manager:
    """A real task manager on a Unix socket; what it has recorded outlives a stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: tuple[SQLiteTaskStore, TaskManagerServer] | None = None
        self.address = f"unix:{folder / 'manager.sock'}"

    async def start(self) -> None:
        """Open the store and serve."""
        store = await SQLiteTaskStore.open(self._folder / "outlast.db")
        settings = ServerSettings(listen="127.0.0.1:0", socket_path=self._folder / "manager.sock", agent="agent")
        server = TaskManagerServer(store, settings)
        await server.start()
        self._running = store, server

    async def stop(self) -> None:
        """Hang up on everybody and close the store; a second time does nothing."""
        if self._running is not None:
            store, server = self._running
            self._running = None
            await server.stop(0)
            await store.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="outlast-") as path:
        yield Path(path)


@pytest.fixture
async def manager(folder: Path) -> AsyncIterator[Manager]:
    """A task manager that runs."""
    manager = Manager(folder)
    await manager.start()
    yield manager
    await manager.stop()


@pytest.fixture
def app() -> Iterator[App]:
    """An app whose loops run, as outlastd.launch has them, and are closed afterwards."""
    app = App()
    app.runtime.start_loops()
    yield app
    app.runtime.agent_loop.close(5.0)
    app.runtime.tasks_loop.close(5.0)


@pytest.fixture
async def stream(manager: Manager, app: App) -> AsyncIterator[WorkerStream]:
    """The app's worker stream, not started: tests define their tasks first."""
    async with open_channel(manager.address) as channel:
        stream = WorkerStream(
            app.runtime.ledger,
            channel,
            # The test's own functions are known once it has defined them.
            WorkerIdentity("worker", "agent", ["double", "wait"]),
            address=manager.address,
            run=partial(run_submitted, app.runtime, app.async_task.functions),
        )
        yield stream
        await stream.close(0)


@pytest.fixture
async def tasks(manager: Manager) -> AsyncIterator[TaskServiceStub]:
    """What people ask the task manager by."""
    async with open_channel(manager.address) as channel:
        yield TaskServiceStub(channel)
