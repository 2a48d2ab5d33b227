"""What a real task manager counts: its tasks, its workers, its watches, and leases that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import grpc.aio
import pytest

from outlast.core.operation import Finish
from outlast.core.state import TaskState
from outlast.core.worker import Registration
from outlast.v1.task_service_pb2 import CreateTaskRequest, WaitTaskRequest, WatchTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.recovery import Recovery
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from ...metered import Figures, Series, metered
from ..task_manager.speaking import START, connected, operation

AGENT: Series = (("agent", "agent"),)
TASK: Series = (*AGENT, ("task_type", "research"))


@pytest.fixture
def figures() -> Iterator[Figures]:
    """Switch metrics on before anything is made."""
    with metered() as figures:
        yield figures


@pytest.fixture
async def store(figures: Figures, tmp_path: Path) -> AsyncIterator[SQLiteTaskStore]:
    """Return an empty store."""
    store = await SQLiteTaskStore.open(tmp_path / "tasks.db")
    yield store
    await store.close()


@pytest.fixture
async def channel(store: SQLiteTaskStore) -> AsyncIterator[grpc.aio.Channel]:
    """Return a channel to a task manager that serves everything on TCP."""
    server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"))
    bound = await server.start()
    async with grpc.aio.insecure_channel(bound.public) as channel:
        yield channel
    await server.stop(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody."""
    async with asyncio.timeout(30):
        while True:
            if await asyncio.to_thread(condition):
                return
            await asyncio.sleep(0.02)


async def test_a_task_from_its_record_to_its_end(channel: grpc.aio.Channel, figures: Figures) -> None:
    """The task, the worker that runs it and the watch of it are there while they are, and counted for good."""
    tasks = TaskServiceStub(channel)
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await tasks.CreateTask(CreateTaskRequest(agent="agent", task_type="research"))
        given = await worker.given()
        watch = tasks.WatchTask(WatchTaskRequest(name=created.name))
        await anext(aiter(watch))
        assert figures.values("outlast.worker.connected") == {AGENT: 1}
        assert figures.values("outlast.watch.subscribers") == {(("of", "task"),): 1}
        await worker.do(operation(1, given.task_id, Finish(TaskState.FAILED)))
        await tasks.WaitTask(WaitTaskRequest(name=created.name))
        assert [event async for event in watch]

    completed = {(AGENT[0], ("outcome", "FAILED"), TASK[1]): 1}
    assert figures.values("outlast.task.created") == {TASK: 1}
    assert figures.values("outlast.task.completed") == completed
    assert figures.values("outlast.task.queue.duration") == {TASK: 1}
    assert figures.values("outlast.task.attempt.duration") == completed
    replayed = figures.values("outlast.watch.replayed")[("of", "task"),]
    assert 1 <= replayed <= 2  # its record, and perhaps its begin
    await until(lambda: figures.values("outlast.watch.subscribers") == {(("of", "task"),): 0})
    await until(lambda: figures.values("outlast.worker.connected") == {AGENT: 0})


async def test_a_lease_is_lost_with_tasks(store: SQLiteTaskStore, figures: Figures) -> None:
    """A worker that is gone and held nothing is no news."""
    worker = await store.register_worker(Registration("w-1", "agent", lock_path="/nowhere/1"))
    await store.register_worker(Registration("w-2", "agent", lock_path="/nowhere/2"))
    await store.apply(worker.worker_id, [operation(1, 7, START)])
    counted: list[int] = []
    recovery = Recovery(store, lambda changes: counted.append(len(tuple(changes))), lambda _worker: False)

    assert await recovery.look() == 1
    assert sorted(counted) == [0, 1]
    assert figures.values("outlast.task.lease.lost") == {(): 1}
