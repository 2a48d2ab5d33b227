"""Workers, their epochs, and what becomes of the tasks that they hold."""

from __future__ import annotations

import asyncio

from outlast.core.state import StateReason, TaskState
from outlast.core.worker import Worker
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import DONE, operations, start_tasks, submission


async def test_epochs_increase(store: TaskStore) -> None:
    """Each new worker has a higher epoch than the one before."""
    epochs = [(await store.register_worker(worker_id, "agent")).epoch for worker_id in "abc"]

    assert epochs == [1, 2, 3]


async def test_epochs_of_many_at_once(store: TaskStore) -> None:
    """Workers that register at the same time have an epoch each."""
    workers = await asyncio.gather(*(store.register_worker(str(number), "agent") for number in range(50)))

    assert set(range(1, 51)) == {worker.epoch for worker in workers}


async def test_same_worker(store: TaskStore) -> None:
    """A worker that registers again is the same worker under the same epoch."""
    first = await store.register_worker("worker", "agent", "/run/worker.lock")

    assert Worker("worker", "agent", 1, 0, "/run/worker.lock") == first
    assert first == await store.register_worker("worker", "agent", "/run/worker.lock")


async def test_holders(store: TaskStore) -> None:
    """Workers with a started task that has not ended are holders; others are not."""
    await start_tasks(store, "busy", [1, 2])
    await start_tasks(store, "done", [3])
    await store.apply("done", operations(3, DONE, first=2))
    await store.register_worker("idle", "agent")
    await store.create(submission(4))

    assert [worker.worker_id for worker in await store.holders()] == ["busy"]


async def test_lost_worker(store: TaskStore, clock: FakeClock) -> None:
    """The tasks of a lost worker end FAILED with the reason; those of others and those that ended stay."""
    await start_tasks(store, "lost", [1, 2, 3])
    await start_tasks(store, "alive", [4])
    await store.apply("lost", operations(3, DONE, first=4))
    untouched = [await store.get(3), await store.get(4)]
    clock.move()

    changes = await store.lose_worker("lost", StateReason.WORKER_LOST, "the process is gone")

    assert [change.task.task_id for change in changes] == [1, 2]
    for change in changes:
        task = await store.get(change.task.task_id)
        assert change.task == task
        assert (TaskState.FAILED, "WORKER_LOST", clock.time) == (task.state, task.state_reason, task.ended_at)
        assert task.error is not None
        assert task.error.message == "the process is gone"
        assert change.event == (await store.events(task.task_id, 1, 10))[-1]
    assert untouched == [await store.get(3), await store.get(4)]
    assert [worker.worker_id for worker in await store.holders()] == ["alive"]


async def test_worker_is_lost_once(store: TaskStore) -> None:
    """A worker that holds nothing, or that nobody knows, loses nothing."""
    await start_tasks(store, "lost", [1])
    await store.lose_worker("lost", StateReason.WORKER_LOST, "gone")

    assert await store.lose_worker("lost", StateReason.WORKER_LOST, "gone") == []
    assert await store.lose_worker("stranger", StateReason.WORKER_LOST, "gone") == []
