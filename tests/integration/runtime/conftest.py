"""Task managers that can be stopped and started again, and a worker stream to them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from outlast.app import App
from outlast.core.policy import DEFAULT_POLICY, Policy
from outlast.tasks.channel import Replicas, open_channel
from outlast.tasks.lease import WorkerLease
from outlast.tasks.stream import Call, WorkerIdentity, WorkerStream
from outlast.tasks.submitted import run_submitted
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer


class Manager:
    """A real task manager on a Unix socket; what it has recorded outlives a stop."""

    def __init__(self, folder: Path, name: str = "manager", policy: Policy = DEFAULT_POLICY) -> None:
        """Several in one folder are replicas: they share its store."""
        self._folder = folder
        self._policy = policy
        self._socket = folder / f"{name}.sock"
        self._running: tuple[SQLiteTaskStore, TaskManagerServer] | None = None
        self._latest: TaskManagerServer | None = None
        self.address = f"unix:{self._socket}"

    async def start(self) -> None:
        """Open the store and serve."""
        store = await SQLiteTaskStore.open(self._folder / "outlast.db", self._policy)
        settings = ServerSettings(listen="127.0.0.1:0", socket_path=self._socket, agent="agent")
        server = TaskManagerServer(store, settings)
        await server.start()
        self._running, self._latest = (store, server), server

    def connect(self) -> Call:
        """Open a stream in memory, as a worker in the same process does; what has stopped refuses it."""
        assert self._latest is not None
        return self._latest.own_streams.open()

    @property
    def store(self) -> SQLiteTaskStore:
        """What it keeps tasks in."""
        assert self._running is not None
        return self._running[0]

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


@contextlib.asynccontextmanager
async def worker(
    app: App, *managers: Manager, lease: WorkerLease | None = None, in_memory: bool = False
) -> AsyncIterator[WorkerStream]:
    """The app's worker stream to these replicas, or in memory to the one; not started: tests define tasks first."""
    replicas = Replicas([manager.address for manager in managers])
    stream = WorkerStream(
        app.runtime.ledger,
        replicas,
        # The test's own functions are known once it has defined them.
        WorkerIdentity("worker", "agent", ["double", "wait"]),
        run=partial(run_submitted, app.runtime, app.async_task.functions),
        lease=lease,
        connect=managers[0].connect if in_memory else None,
    )
    try:
        yield stream
    finally:
        await stream.close(0)
        await replicas.close()


@pytest.fixture(params=[False, True], ids=["grpc", "memory"])
async def stream(manager: Manager, app: App, request: pytest.FixtureRequest) -> AsyncIterator[WorkerStream]:
    """The app's worker stream to the manager, over gRPC and in memory."""
    async with worker(app, manager, in_memory=request.param) as stream:
        yield stream


@pytest.fixture
async def tasks(manager: Manager) -> AsyncIterator[TaskServiceStub]:
    """What people ask the task manager by."""
    async with open_channel(manager.address) as channel:
        yield TaskServiceStub(channel)
