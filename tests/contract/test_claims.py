"""Claims: how a task that waits gets a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from outlast.core.event import Change
from outlast.core.operation import Submit
from outlast.core.state import TaskState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import DONE, FAILED, START, operations, register, submission


def ids(changes: Sequence[Change]) -> list[int]:
    """Return the ids of the tasks that were changed."""
    return [change.task.task_id for change in changes]


async def test_claimed(store: TaskStore, clock: FakeClock) -> None:
    """A claimed task is WORKING, attempt 1, held under the worker's epoch, and its worker goes on with it."""
    await register(store, "first")
    await store.create(submission(1, session_id="session", input=b"{}"))
    worker = await register(store, "worker", "agent", "research")
    at = clock.move()

    (change,) = await store.claim("worker", worker.epoch, 10)

    task = await store.get(1)
    assert task == change.task
    assert [change.event] == await store.events(1, 1, 10)
    assert (TaskState.WORKING, "", "worker", worker.epoch) == (
        task.state,
        task.state_reason,
        task.worker_id,
        task.epoch,
    )
    assert (1, at, None) == (task.attempt, task.started_at, task.queue_until)
    assert task.input == b"{}"
    assert not (await store.apply("worker", operations(1, DONE))).refusals


async def test_oldest_first(store: TaskStore, clock: FakeClock) -> None:
    """Tasks of the worker's agent and types are claimed in the order of their creation, and not too many at a time."""
    for task_id, task_type in [(5, "cook"), (3, "research"), (9, "research"), (2, "clean"), (1, "research")]:
        await store.create(submission(task_id, task_type))
        clock.move()
    await store.create(submission(20, agent="other"))
    worker = await register(store, "worker", "agent", "research", "cook")

    assert ids(await store.claim("worker", worker.epoch, 2)) == [5, 3]
    assert ids(await store.claim("worker", worker.epoch, 10)) == [9, 1]
    assert ids(await store.claim("worker", worker.epoch, 10)) == []


async def test_session_binding(store: TaskStore, clock: FakeClock) -> None:
    """A worker that is bound to a session is given tasks of that one only; another one is given any."""
    for task_id, session_id in enumerate(("s-1", "s-2", "", "s-1"), 1):
        await store.create(submission(task_id, session_id=session_id))
        clock.move()
    bound = await register(store, "bound", "agent", "research", session_id="s-1")
    free = await register(store, "free", "agent", "research")

    assert ids(await store.claim("bound", bound.epoch, 10)) == [1, 4]
    assert ids(await store.claim("free", free.epoch, 10)) == [2, 3]


async def test_who_may_not_claim(store: TaskStore) -> None:
    """A worker that drains, one without types, one under another epoch, a stranger and one without room get nothing."""
    await store.create(submission(1))
    typeless = await register(store, "typeless")
    worker = await register(store, "worker", "agent", "research")
    draining = await register(store, "draining", "agent", "research", draining=True)

    assert ids(await store.claim("typeless", typeless.epoch, 10)) == []
    assert ids(await store.claim("draining", draining.epoch, 10)) == []
    assert ids(await store.claim("worker", worker.epoch - 1, 10)) == []
    assert ids(await store.claim("worker", worker.epoch + 1, 10)) == []
    assert ids(await store.claim("stranger", 1, 10)) == []
    assert ids(await store.claim("worker", worker.epoch, 0)) == []
    assert ids(await store.claim("worker", worker.epoch, -1)) == []
    assert TaskState.SUBMITTED is (await store.get(1)).state


async def test_tasks_of_others(store: TaskStore) -> None:
    """What waits inside a worker, and what has ended, is nobody's to claim."""
    await register(store, "holder")
    await store.apply("holder", operations(1, Submit(START, "WORKER_BUSY")))
    await store.create(submission(2))
    await store.request_cancel(2)
    worker = await register(store, "worker", "agent", "research")

    assert ids(await store.claim("worker", worker.epoch, 10)) == []


async def test_backoff(store: TaskStore, clock: FakeClock) -> None:
    """A task whose attempt failed is claimed again when its next attempt is due, not a moment earlier."""
    worker = await register(store, "worker", "agent", "research")
    await store.create(submission(1, max_attempts=3, backoff=timedelta(seconds=2)))
    await store.claim("worker", worker.epoch, 1)
    await store.apply("worker", operations(1, FAILED))
    task = await store.get(1)
    assert (task.state, task.state_reason, task.worker_id, task.epoch) == (TaskState.SUBMITTED, "BACKOFF", "", 0)
    assert task.next_attempt_at == clock.time + timedelta(seconds=2)

    clock.move(1.999999)
    assert ids(await store.claim("worker", worker.epoch, 1)) == []
    clock.move(0.000001)
    (change,) = await store.claim("worker", worker.epoch, 1)

    assert (change.task.attempt, change.task.next_attempt_at) == (2, None)


async def test_no_attempt_is_given_twice(backend: Backend) -> None:
    """However many claim at the same time, at several stores, every task is given once."""
    stores = [await backend.open(), await backend.open()]
    for task_id in range(1, 61):
        await stores[0].create(submission(task_id))
    workers = [await register(stores[0], f"worker-{number}", "agent", "research") for number in range(10)]

    claims = await asyncio.gather(
        *(
            stores[turn % 2].claim(worker.worker_id, worker.epoch, 4)
            for turn in range(4)
            for worker in workers[turn % 2 :] + workers[: turn % 2]
        )
    )

    given = [change for changes in claims for change in changes]
    assert sorted(ids(given)) == list(range(1, 61))
    for change in given:
        assert change.task == await stores[1].get(change.task.task_id)
