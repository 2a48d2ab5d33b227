"""Leases and fencing: a lost worker is noticed, and a zombie cannot write."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from outlast.core import lifecycle
from outlast.core.errors import LeaseLost
from outlast.core.event import Change
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task
from outlast.core.worker import Renewal
from outlastd.stores.losing import EXPIRED_AT_ONCE
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import CHUNK, DONE, HALF, START, operations, register, start_tasks, submission

NOBODY: frozenset[str] = frozenset()
TTL = 15.0


async def until(store: TaskStore) -> dict[str, object]:
    """Return until when the leases of the living workers hold."""
    return {worker.worker_id: worker.lease_until for worker in await store.living_workers()}


async def test_renewal(store: TaskStore, clock: FakeClock) -> None:
    """A renewal under the worker's epoch, and whatever it has applied, makes the lease a fresh one."""
    workers = [await register(store, worker_id) for worker_id in ("renews", "applies", "silent")]
    silent = clock.time + timedelta(seconds=TTL)
    at = clock.move(10)

    renewed = await store.renew([Renewal("renews", workers[0].epoch)])
    await store.apply("applies", operations(1, START))

    assert renewed == {"renews"}
    fresh = at + timedelta(seconds=TTL)
    assert await until(store) == {"renews": fresh, "applies": fresh, "silent": silent}


async def test_renewal_under_another_epoch(store: TaskStore, clock: FakeClock) -> None:
    """A renewal under an epoch that is not the worker's, or of a worker that nobody knows, is none."""
    worker = await register(store, "worker")
    before = await until(store)
    clock.move()

    renewed = await store.renew(
        [Renewal("worker", worker.epoch + 1), Renewal("worker", worker.epoch - 1), Renewal("stranger", 1)]
    )

    assert renewed == NOBODY
    assert before == await until(store)
    assert await store.renew([]) == NOBODY


async def test_expiry(store: TaskStore, clock: FakeClock) -> None:
    """A lease is over at its last moment, not before; then its tasks are lost, and those of other workers are not."""
    await start_tasks(store, "silent", [1])
    await start_tasks(store, "alive", [2])
    clock.move(TTL - 0.000001)
    assert await store.expire_workers(NOBODY) == []
    await store.renew([Renewal("alive", 2)])

    clock.move(0.000001)
    (change,) = await store.expire_workers(NOBODY)

    task = await store.get(1)
    assert change.task == task
    assert (task.state, task.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert task.error is not None
    assert "silent" in task.error.message
    assert [worker.worker_id for worker in await store.living_workers()] == ["alive"]
    assert await store.expire_workers(NOBODY) == []


async def test_many_at_once(store: TaskStore, clock: FakeClock) -> None:
    """One call takes so many leases and no more; the next one goes on."""
    for number in range(EXPIRED_AT_ONCE + 1):
        await register(store, f"worker-{number}")
    clock.move(TTL)

    await store.expire_workers(NOBODY)
    left = await store.living_workers()
    await store.expire_workers(NOBODY)

    assert len(left) == 1
    assert await store.living_workers() == []


@pytest.mark.parametrize("how", ["raises", "is refused"])
async def test_one_that_cannot_be_lost(
    store: TaskStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What stands in the way of one task, a bug or the database, keeps no other worker's tasks from being lost."""
    await start_tasks(store, "one", [1, 2])
    await start_tasks(store, "other", [3])
    lose = lifecycle.lose

    def lose_all_but_one(task: Task, *rest: Any) -> Change:
        change = lose(task, *rest)
        if task.task_id != 1:
            return change
        if how == "raises":
            raise OverflowError("date value out of range")
        return replace(change, task=replace(change.task, progress=Progress(math.nan, "", clock.time)))

    clock.move(TTL)
    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "lose", lose_all_but_one)
        lost = {change.task.task_id for change in await store.expire_workers(NOBODY)}

    assert lost == ({2, 3} if how == "raises" else {3})
    again = {change.task.task_id for change in await store.expire_workers(NOBODY)}
    assert again == (set() if how == "raises" else {1, 2})


async def test_spared(store: TaskStore, clock: FakeClock) -> None:
    """A worker that is spared keeps its tasks and its epoch, however late it is."""
    await start_tasks(store, "own", [1])
    clock.move(1000)

    assert await store.expire_workers(frozenset({"own", "unknown"})) == []

    assert (await register(store, "own")).epoch == 1
    assert not (await store.apply("own", operations(1, DONE, first=2))).refusals


async def test_back_before_anybody_took_it(store: TaskStore, clock: FakeClock) -> None:
    """A worker whose lease has run out and was taken by nobody keeps its epoch and its tasks, in any way it comes."""
    await start_tasks(store, "renews", [1])
    await start_tasks(store, "registers", [2])
    await start_tasks(store, "applies", [3])
    clock.move(1000)

    assert await store.renew([Renewal("renews", 1)]) == {"renews"}
    back = await register(store, "registers")
    assert not (await store.apply("applies", operations(3, DONE, first=2))).refusals

    assert (back.epoch, back.lost_sequence) == (2, 0)
    assert await store.expire_workers(NOBODY) == []
    for worker_id, task_id in [("renews", 1), ("registers", 2)]:
        assert not (await store.apply(worker_id, operations(task_id, DONE, first=2))).refusals


@pytest.mark.parametrize("how", ["expires", "is lost"])
async def test_zombie(store: TaskStore, clock: FakeClock, how: str) -> None:
    """After a lost lease nothing is written to the old tasks; new ones are accepted under the worker's new epoch."""
    await start_tasks(store, "zombie", [1, 2])
    clock.move(TTL)
    if how == "expires":
        await store.expire_workers(NOBODY)
    else:
        await store.lose_worker("zombie", 1, "gone")
    before = await store.get(1), await store.events(1, 0, 100)

    applied = await store.apply("zombie", [*operations(1, HALF, CHUNK, DONE, first=3), *operations(3, START, first=6)])

    refused = {sequence: type(refusal) for sequence, refusal in applied.refusals.items()}
    assert refused == {3: LeaseLost, 4: LeaseLost, 5: LeaseLost}
    assert before == (await store.get(1), await store.events(1, 0, 100))
    (change,) = applied.changes
    assert (change.task.task_id, change.task.epoch) == (3, 2)
    assert await store.renew([Renewal("zombie", 1)]) == NOBODY


async def test_zombie_that_comes_back(store: TaskStore, clock: FakeClock) -> None:
    """It learns its new epoch and which operations were applied under the lost one, and goes on with new ones."""
    await start_tasks(store, "zombie", [1, 2])
    await store.lose_worker("zombie", 1, "gone")
    await store.apply("zombie", operations(3, START, first=3))

    back = await register(store, "zombie")

    assert (back.epoch, back.applied_sequence, back.lost_sequence) == (2, 3, 2)
    assert back.lease_until == clock.time + timedelta(seconds=TTL)
    assert [task.task_id for task in await store.held("zombie")] == [3]
    assert not (await store.apply("zombie", operations(3, DONE, first=4))).refusals


async def test_zombie_that_writes_lives_again(store: TaskStore, clock: FakeClock) -> None:
    """What a zombie starts under its new epoch is lost with it, when it is not heard any more."""
    await start_tasks(store, "zombie", [1])
    await store.lose_worker("zombie", 1, "gone")
    await store.apply("zombie", operations(2, START, first=2))

    clock.move(TTL)
    (change,) = await store.expire_workers(NOBODY)

    assert change.task.task_id == 2
    back = await register(store, "zombie")
    assert (back.epoch, back.lost_sequence) == (3, 2)


async def test_attempt_of_another_worker(store: TaskStore, clock: FakeClock) -> None:
    """Once a task runs again elsewhere, its first worker can neither write to it nor end it."""
    first = await register(store, "first", "agent", "research")
    await store.create(submission(1, max_attempts=2))
    await store.claim("first", first.epoch, 1)
    await store.lose_worker("first", first.epoch, "gone")
    second = await register(store, "second", "agent", "research")
    clock.move(60)
    assert len(await store.claim("second", second.epoch, 1)) == 1
    await register(store, "first", "agent", "research")

    applied = await store.apply("first", operations(1, HALF, DONE))

    assert [LeaseLost, LeaseLost] == [type(refusal) for refusal in applied.refusals.values()]
    assert not (await store.apply("second", operations(1, DONE))).refusals


async def test_batch_and_expiry_at_the_same_time(backend: Backend, clock: FakeClock) -> None:
    """Of a finish and the end of the lease that come together, at two stores, one wins and the other sees it."""
    one, other = await backend.open(), await backend.open()
    for number in range(1, 21):
        await start_tasks(one, f"worker-{number}", [number])
    clock.move(TTL)

    expiries = [asyncio.ensure_future(other.expire_workers(NOBODY)) for _ in range(3)]
    applied = await asyncio.gather(
        *(one.apply(f"worker-{number}", operations(number, DONE, first=2)) for number in range(1, 21))
    )
    await asyncio.gather(*expiries)

    for number, outcome in enumerate(applied, 1):
        task = await one.get(number)
        assert (TaskState.FAILED if outcome.refusals else TaskState.COMPLETED) is task.state
        assert [event.generation for event in await other.events(number, 0, 10)] == [1, 2]
