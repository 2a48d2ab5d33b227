"""Several stores on one database."""

from __future__ import annotations

import asyncio

from outlast.core.state import TaskState
from outlastd.stores.port import TaskFilter

from .conftest import Backend
from .making import DONE, START, operations, register, start_tasks


async def test_one_sees_the_other(backend: Backend) -> None:
    """What one store has answered, another one sees."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])

    assert await one.get(1) == await other.get(1)
    task, _ = await other.request_cancel(1)
    assert task == await one.get(1)
    assert not (await one.apply("worker", operations(1, DONE, first=2))).refusals
    assert [event.generation for event in await other.events(1, 0, 10)] == [1, 2, 3]


async def test_both_write_at_the_same_time(backend: Backend) -> None:
    """Two stores that write at the same time wait for each other; nothing is lost and no epoch is given twice."""
    stores = [await backend.open(), await backend.open()]

    async def work(number: int) -> int:
        store, worker_id = stores[number % 2], f"worker-{number}"
        worker = await register(store, worker_id)
        for step in range(5):
            task_id = number * 100 + step + 1
            applied = await store.apply(worker_id, operations(task_id, START, DONE, first=2 * step + 1))
            assert not applied.refusals
        return worker.epoch

    epochs = await asyncio.gather(*(work(number) for number in range(20)))

    assert set(epochs) == set(range(1, 21))
    for store in stores:
        tasks = await store.list(TaskFilter(), 1000)
        assert len(tasks) == 100
        assert {task.state for task in tasks} == {TaskState.COMPLETED}


async def test_all_open_a_new_file(sqlite: Backend) -> None:
    """Stores that open a new file at the same time all find it ready."""
    await _all_open(sqlite)


async def test_all_open_an_empty_database(postgres: Backend) -> None:
    """Stores that open an empty database at the same time all find it ready."""
    await _all_open(postgres)


async def _all_open(backend: Backend) -> None:
    stores = await asyncio.gather(*(backend.open() for _ in range(8)))

    epochs = [(await register(store, str(number))).epoch for number, store in enumerate(stores)]

    assert epochs == list(range(1, 9))


async def test_reopened(backend: Backend) -> None:
    """A database that was closed is as it was when it is opened again."""
    first = await backend.open()
    await start_tasks(first, "worker", [1, 2])
    tasks = await first.list(TaskFilter(), 10, full=True)
    await first.close()

    second = await backend.open()

    assert await second.list(TaskFilter(), 10, full=True) == tasks
    assert (await register(second, "worker")).applied_sequence == 2
    assert (await register(second, "next")).epoch == 2
