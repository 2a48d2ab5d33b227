"""What is kept, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from outlast.core.errors import IllegalTransition, StoreUnavailable, TaskNotFound
from outlast.core.operation import Start, Submit
from outlast.core.policy import DEFAULT_POLICY
from outlastd.stores.port import TaskFilter, TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import CHUNK, DONE, FAILED, HALF, START, operations, register, start_tasks, submission

DAY = 24 * 3600.0
NOBODY: frozenset[str] = frozenset()


async def gone(store: TaskStore, task_id: int) -> bool:
    """Return whether neither a task nor an event of it is left."""
    with pytest.raises(TaskNotFound):
        await store.events(task_id, 0, 1)
    with pytest.raises(TaskNotFound):
        await store.get(task_id)
    return True


async def test_delete(store: TaskStore) -> None:
    """A task that has ended is deleted with its events; others stay."""
    await start_tasks(store, "worker", [1, 2], Start("research", session_id="session"))
    await store.apply("worker", [*operations(1, HALF, CHUNK, DONE, first=3), *operations(2, DONE, first=6)])

    await store.delete(1)

    assert await gone(store, 1)
    assert [task.task_id for task in await store.list(TaskFilter(), 10)] == [2]
    assert {found.event.task_id for found in await store.session_events("session", "", 100)} == {2}


@pytest.mark.parametrize("task_id", [1, 2, 3])
async def test_delete_of_a_task_that_lives(store: TaskStore, task_id: int) -> None:
    """A task that has not ended stays; the error names its state."""
    await start_tasks(store, "worker", [1])
    await store.create(submission(2))
    await store.apply("worker", operations(3, Submit(START), first=2))
    before = await store.get(task_id)

    with pytest.raises(IllegalTransition, match=before.state.name):
        await store.delete(task_id)

    assert before == await store.get(task_id)


async def test_delete_of_no_task(store: TaskStore) -> None:
    """What does not exist cannot be deleted, twice neither."""
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, DONE, first=2))
    await store.delete(1)

    for task_id in (1, 2):
        with pytest.raises(TaskNotFound):
            await store.delete(task_id)


async def test_id_of_a_deleted_task(store: TaskStore) -> None:
    """A worker's late operation on a deleted task makes nothing; a replay of its start neither."""
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, DONE, first=2))
    await store.delete(1)

    applied = await store.apply("worker", [*operations(1, START, DONE), *operations(1, HALF, first=3)])

    assert not applied.changes
    assert list(applied.refusals) == [3]
    assert await gone(store, 1)


async def test_retention(store: TaskStore, clock: FakeClock) -> None:
    """A task is kept for the policy's time after its end, by the store's clock; one that lives is kept for ever."""
    await start_tasks(store, "worker", [1, 2, 3])
    await store.apply("worker", operations(1, DONE, first=4))
    clock.move(DAY)
    await store.apply("worker", operations(2, FAILED, first=5))
    assert (await store.get(1)).expires_at == clock.time + timedelta(days=6)

    clock.move(6 * DAY - 0.000001)
    assert await store.delete_expired(10) == 0
    clock.move(0.000001)
    assert await store.delete_expired(10) == 1
    assert await gone(store, 1)
    clock.move(1000 * DAY)
    assert await store.delete_expired(10) == 1
    assert [task.task_id for task in await store.list(TaskFilter(), 10)] == [3]


async def test_kept_for_ever(backend: Backend, clock: FakeClock) -> None:
    """Without a retention nothing goes by itself."""
    store = await backend.open(replace(DEFAULT_POLICY, retention=None))
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, DONE, first=2))
    clock.move(10_000 * DAY)

    assert await store.delete_expired(10) == 0
    assert (await store.get(1)).expires_at is None


async def test_a_part_at_a_time(store: TaskStore, clock: FakeClock) -> None:
    """Many are deleted in parts, those that ended first before the others."""
    await start_tasks(store, "worker", range(1, 8))
    for task_id in (5, 3, 1, 2, 4, 6, 7):
        await store.apply("worker", operations(task_id, DONE, first=10 + (5, 3, 1, 2, 4, 6, 7).index(task_id)))
        clock.move()
    clock.move(7 * DAY)

    assert await store.delete_expired(3) == 3
    assert {task.task_id for task in await store.list(TaskFilter(), 10)} == {2, 4, 6, 7}
    assert [await store.delete_expired(3) for _ in range(3)] == [3, 1, 0]


async def test_lost_workers(store: TaskStore, clock: FakeClock) -> None:
    """The row of a lost worker is kept for a day, for the zombie that comes back; then it would be a new worker."""
    for worker_id in ("soon", "late", "alive"):
        await register(store, worker_id)
    await start_tasks(store, "soon", [1])
    await store.apply("late", operations(2, START))
    for worker_id, epoch in (("soon", 1), ("late", 2)):
        await store.lose_worker(worker_id, epoch, "gone")
    clock.move(DAY - 1)
    await store.delete_expired(10)
    back = await register(store, "soon")
    assert (back.epoch, back.applied_sequence, back.lost_sequence) == (4, 1, 1)

    clock.move(1)
    await store.delete_expired(10)

    assert not (await store.apply("soon", operations(3, START, first=2))).refusals
    assert not (await store.apply("alive", operations(4, START))).refusals
    with pytest.raises(StoreUnavailable, match="late"):
        await store.apply("late", operations(5, START, first=2))
