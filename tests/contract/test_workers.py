"""Workers, their epochs, what they say of themselves, and the tasks that they hold."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from outlast.core.event import Change
from outlast.core.operation import Submit
from outlast.core.state import TaskState
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import DONE, START, operations, register, start_tasks, submission

TTL = timedelta(seconds=15)


async def test_epochs_increase(store: TaskStore) -> None:
    """Each new worker has a higher epoch than the one before."""
    epochs = [(await register(store, worker_id)).epoch for worker_id in "abc"]

    assert epochs == [1, 2, 3]


async def test_epochs_of_many_at_once(store: TaskStore) -> None:
    """Workers that register at the same time have an epoch each."""
    workers = await asyncio.gather(*(register(store, str(number)) for number in range(50)))

    assert set(range(1, 51)) == {worker.epoch for worker in workers}


async def test_same_worker(store: TaskStore, clock: FakeClock) -> None:
    """A worker that registers again keeps its epoch and gets a fresh lease; what it says now holds."""
    said = Registration("worker", "agent", frozenset({"cook", "research"}), "session", "/run/worker.lock")
    first = await store.register_worker(said)
    expected = Worker(
        "worker",
        "agent",
        1,
        lock_path="/run/worker.lock",
        session_id="session",
        task_types=frozenset({"cook", "research"}),
        lease_until=clock.time + TTL,
    )
    assert first == expected
    await store.apply("worker", operations(1, START))
    clock.move()

    again = await store.register_worker(Registration("worker", "agent", frozenset({"clean"}), draining=True))

    expected = Worker(
        "worker",
        "agent",
        1,
        applied_sequence=1,
        task_types=frozenset({"clean"}),
        draining=True,
        lease_until=clock.time + TTL,
    )
    assert again == expected
    assert [expected] == await store.living_workers()


async def test_draining(store: TaskStore) -> None:
    """A worker that says that it drains does so until it registers again, and is given nothing any more."""
    worker = await register(store, "worker", "agent", "research")
    await store.create(submission(1))

    await store.renew([Renewal("worker", worker.epoch, draining=True)])
    await store.renew([Renewal("worker", worker.epoch)])

    assert [worker.draining for worker in await store.living_workers()] == [True]
    assert await store.claim("worker", worker.epoch, 1) == []
    await register(store, "worker", "agent", "research")
    assert len(await store.claim("worker", worker.epoch, 1)) == 1


async def test_living_workers(store: TaskStore, clock: FakeClock) -> None:
    """Workers live until somebody takes their lease, however long they are silent; they come by epoch."""
    workers = [await register(store, worker_id) for worker_id in "cab"]
    clock.move(1e6)
    assert workers == list(await store.living_workers())

    await store.lose_worker("a", workers[1].epoch, "gone")

    assert [workers[0], workers[2]] == await store.living_workers()


async def test_held(store: TaskStore, clock: FakeClock) -> None:
    """A worker holds what it started, what waits inside it and what it claimed, until it ends; the oldest first."""
    worker = await register(store, "worker", "agent", "research")
    await store.apply("worker", operations(9, START))
    clock.move()
    await store.create(submission(3, input=b"{}"))
    clock.move()
    await store.apply("worker", operations(7, Submit(START, "WORKER_BUSY"), first=2))
    await store.apply("worker", operations(1, START, DONE, first=3))
    await store.create(submission(20, "cook"))
    await store.claim("worker", worker.epoch, 10)
    await start_tasks(store, "other", [30])

    held = await store.held("worker", full=True)

    assert [task.task_id for task in held] == [9, 3, 7]
    assert held == [await store.get(task_id) for task_id in (9, 3, 7)]
    assert held[1].input == b"{}"
    assert await store.held("worker") == [replace(task, input=None) for task in held]
    assert await store.held("stranger") == []


async def test_submitted_to_itself(store: TaskStore) -> None:
    """A task that waits inside its worker is SUBMITTED and held, and a start of that worker begins it."""
    worker = await register(store, "worker")

    applied = await store.apply("worker", operations(1, Submit(START, "WORKER_BUSY")))

    task = await store.get(1)
    assert [task] == [change.task for change in applied.changes]
    assert (task.state, task.state_reason, task.attempt) == (TaskState.SUBMITTED, "WORKER_BUSY", 0)
    assert ("worker", worker.epoch, ("worker", 1)) == (task.worker_id, task.epoch, task.created_by)
    assert not (await store.apply("worker", operations(1, START, first=2))).refusals
    task = await store.get(1)
    assert (task.state, task.state_reason, task.attempt) == (TaskState.WORKING, "", 1)
    assert [event.generation for event in await store.events(1, 0, 10)] == [1, 2]


async def test_lost_worker(store: TaskStore, clock: FakeClock) -> None:
    """The tasks of a lost worker end FAILED with the reason; those of others and those that ended stay."""
    await start_tasks(store, "lost", [1, 2, 3])
    await start_tasks(store, "alive", [4])
    await store.apply("lost", operations(3, DONE, first=4))
    untouched = [await store.get(3), await store.get(4)]
    clock.move()

    changes = await store.lose_worker("lost", 1, "the process is gone")

    assert sorted(change.task.task_id for change in changes) == [1, 2]
    for change in changes:
        task = await store.get(change.task.task_id)
        assert change.task == task
        assert (TaskState.FAILED, "WORKER_LOST", clock.time) == (task.state, task.state_reason, task.ended_at)
        assert task.error is not None
        assert task.error.message == "the process is gone"
        assert change.event == (await store.events(task.task_id, 1, 10))[-1]
    assert untouched == [await store.get(3), await store.get(4)]
    assert await store.held("lost") == []
    assert [worker.worker_id for worker in await store.living_workers()] == ["alive"]


async def test_lost_worker_of_a_task_with_attempts_left(store: TaskStore, clock: FakeClock) -> None:
    """A task that may run again waits for another worker, one that was asked to cancel is CANCELED."""
    worker = await register(store, "lost", "agent", "research")
    for task_id in (1, 2):
        await store.create(submission(task_id, max_attempts=2))
    await store.claim("lost", worker.epoch, 2)
    await store.request_cancel(2)

    changes = await store.lose_worker("lost", worker.epoch, "gone")

    states = {change.task.task_id: (change.task.state, change.task.state_reason) for change in changes}
    assert states == {1: (TaskState.SUBMITTED, "WORKER_LOST"), 2: (TaskState.CANCELED, "CANCEL_REQUESTED")}
    another = await register(store, "another", "agent", "research")
    clock.move(3600)
    (change,) = await store.claim("another", another.epoch, 10)
    assert isinstance(change, Change)
    assert (change.task.worker_id, change.task.attempt) == ("another", 2)


async def test_worker_is_lost_once(store: TaskStore) -> None:
    """Nothing happens to a worker under another epoch, or to one that nobody knows."""
    await start_tasks(store, "lost", [1])
    assert len(await store.lose_worker("lost", 1, "gone")) == 1

    assert await store.lose_worker("lost", 1, "gone") == []
    assert await store.lose_worker("stranger", 1, "gone") == []
