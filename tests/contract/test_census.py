"""The census: how many tasks have not ended, and how long work has been waiting for a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from outlast.core.operation import Operation, Submit
from outlast.core.state import TaskState
from outlastd.stores.port import Census, TaskStore

from .clock import FakeClock
from .making import AT, DONE, FAILED, START, operations, register, submission

SUBMITTED, WORKING = TaskState.SUBMITTED, TaskState.WORKING
NONE = timedelta()


def ordered(counts: Sequence[Census]) -> list[Census]:
    """Return a census by agent and state."""
    return sorted(counts, key=lambda count: (count.agent, count.state))


async def test_nothing(store: TaskStore) -> None:
    """A store without tasks, and one whose tasks have all ended, has nothing to count."""
    assert await store.census() == []
    await register(store, "worker")
    await store.apply("worker", operations(1, START, DONE))
    await store.create(submission(2))
    await store.request_cancel(2)

    assert await store.census() == []


async def test_counts(store: TaskStore) -> None:
    """Tasks are counted by agent and state; those that have ended are not."""
    await register(store, "worker")
    batch = [Operation(task_id, task_id, AT, START) for task_id in (1, 2, 3)]
    await store.apply("worker", [*batch, *operations(3, DONE, first=4)])
    await store.create(submission(4))
    await store.create(submission(5, agent="other"))

    assert ordered(await store.census()) == [
        Census("agent", SUBMITTED, 1, 1, NONE),
        Census("agent", WORKING, 2, 0, NONE),
        Census("other", SUBMITTED, 1, 1, NONE),
    ]


async def test_longest_wait(store: TaskStore, clock: FakeClock) -> None:
    """The wait is that of the task which has waited longest, by the store's clock."""
    await store.create(submission(1))
    clock.move(7)
    await store.create(submission(2))
    clock.move(5)

    (counted,) = await store.census()

    assert (counted.backlog, counted.longest_wait) == (2, timedelta(seconds=12))


async def test_task_that_waits_inside_its_worker(store: TaskStore, clock: FakeClock) -> None:
    """A task that its own worker will begin is SUBMITTED, and no backlog: no other worker could take it."""
    await register(store, "worker")
    await store.apply("worker", operations(1, Submit(START, "WORKER_BUSY")))
    clock.move(5)

    assert await store.census() == [Census("agent", SUBMITTED, 1, 0, NONE)]


async def test_backoff(store: TaskStore, clock: FakeClock) -> None:
    """An attempt that has to wait is no backlog; once it is due it has waited since then, not since its creation."""
    await store.create(submission(1, max_attempts=2, backoff=timedelta(seconds=30)))
    worker = await register(store, "worker", "agent", "research")
    await store.claim("worker", worker.epoch, 1)
    clock.move(3_600)
    await store.apply("worker", operations(1, FAILED))
    clock.move(29)
    assert await store.census() == [Census("agent", SUBMITTED, 1, 0, NONE)]

    clock.move(5)

    assert await store.census() == [Census("agent", SUBMITTED, 1, 1, timedelta(seconds=4))]
