"""Requests to cancel."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from outlast.core.errors import IllegalTransition, TaskNotFound
from outlast.core.operation import Submit
from outlast.core.state import TaskState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import DONE, START, operations, register, start_tasks, submission


async def test_cancel_of_a_working_task(store: TaskStore, clock: FakeClock) -> None:
    """A task that runs is asked, and goes on until its worker ends it."""
    await start_tasks(store, "worker", [1])

    task, change = await store.request_cancel(1)

    assert change is not None
    assert task == change.task == await store.get(1)
    assert (TaskState.WORKING, "CANCEL_REQUESTED", clock.time) == (
        task.state,
        task.state_reason,
        task.cancel_requested_at,
    )


async def test_cancel_twice(store: TaskStore, clock: FakeClock) -> None:
    """The second request changes nothing and appends no event."""
    await start_tasks(store, "worker", [1])
    first, _ = await store.request_cancel(1)
    clock.move()

    assert (first, None) == await store.request_cancel(1)
    assert len(await store.events(1, 0, 100)) == 2


async def test_cancel_of_a_submitted_task(store: TaskStore) -> None:
    """A task that no worker has started is CANCELED at once and given to nobody any more."""
    await store.create(submission(1))
    worker = await register(store, "worker", "agent", "research")

    task, change = await store.request_cancel(1)

    assert change is not None
    assert TaskState.CANCELED is task.state
    assert await store.claim("worker", worker.epoch, 10) == []


async def test_cancel_of_an_ended_task(store: TaskStore) -> None:
    """A task that has ended cannot be canceled; the error names its state."""
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, DONE, first=2))

    with pytest.raises(IllegalTransition, match="COMPLETED"):
        await store.request_cancel(1)


async def test_cancel_of_no_task(store: TaskStore) -> None:
    """A task that does not exist cannot be canceled."""
    with pytest.raises(TaskNotFound, match="tasks/1"):
        await store.request_cancel(1)


async def test_cancel_requests(store: TaskStore, clock: FakeClock) -> None:
    """The tasks to cancel are those that run and were asked to, of the workers that are asked about, in short."""
    start = replace(START, input=b"{}", metadata=b"{}")
    await start_tasks(store, "one", [1, 2, 3], start)
    await start_tasks(store, "two", [4], start)
    await start_tasks(store, "three", [5], start)
    for task_id in (1, 3, 4, 5):
        await store.request_cancel(task_id)
        clock.move()
    await store.apply("one", operations(3, DONE, first=4))

    found = await store.cancel_requests(["one", "two", "nobody"])

    expected = [replace(await store.get(task_id), input=None, metadata=None) for task_id in (1, 4)]
    assert sorted(found, key=lambda task: task.task_id) == expected
    assert await store.cancel_requests([]) == []


async def test_force(store: TaskStore, clock: FakeClock) -> None:
    """A task that does not follow a forced cancel within the grace is CANCELED, and its worker's end comes too late."""
    await start_tasks(store, "worker", [1])
    task, _ = await store.request_cancel(1, force=True, grace=timedelta(seconds=3))
    assert task.cancel_until == clock.time + timedelta(seconds=3)
    clock.move(2.999999)
    assert await store.end_overdue(10) == []

    clock.move(0.000001)
    (change,) = await store.end_overdue(10)

    task = await store.get(1)
    assert change.task == task
    assert (task.state, task.state_reason) == (TaskState.CANCELED, "CANCEL_FORCED")
    assert list((await store.apply("worker", operations(1, DONE, first=2))).refusals) == [2]
    assert await store.end_overdue(10) == []


async def test_force_after_a_polite_request(store: TaskStore, clock: FakeClock) -> None:
    """A request with force is one more than a request without; the policy's grace holds where none is given."""
    await start_tasks(store, "worker", [1])
    first, _ = await store.request_cancel(1)
    assert first.cancel_until is None

    second, change = await store.request_cancel(1, force=True)

    assert change is not None
    assert second.cancel_until == clock.time + store.policy.cancel_grace
    assert second.cancel_requested_at == first.cancel_requested_at
    assert await store.request_cancel(1) == (second, None)
    assert await store.request_cancel(1, force=True) == (second, None)


async def test_end_before_the_grace_is_over(store: TaskStore, clock: FakeClock) -> None:
    """A result that arrives within the grace of a forced cancel wins, for ever."""
    await start_tasks(store, "worker", [1])
    await store.request_cancel(1, force=True)
    await store.apply("worker", operations(1, DONE, first=2))
    clock.move(1000)

    assert await store.end_overdue(10) == []
    assert TaskState.COMPLETED is (await store.get(1)).state


async def test_manual_task(store: TaskStore, clock: FakeClock) -> None:
    """A task that is tracked by hand is CANCELED after the grace, without force."""
    await start_tasks(store, "worker", [1], replace(START, manual=True))
    await store.request_cancel(1)
    clock.move(store.policy.cancel_grace.total_seconds())

    (change,) = await store.end_overdue(10)

    assert (change.task.state, change.task.state_reason) == (TaskState.CANCELED, "CANCEL_REQUESTED")


async def test_cancel_of_a_task_that_waits_inside_its_worker(store: TaskStore) -> None:
    """A task that its worker has not begun is CANCELED at once; the start that comes later is refused."""
    await register(store, "worker")
    await store.apply("worker", operations(1, Submit(START, "WORKER_BUSY")))

    task, _ = await store.request_cancel(1)

    assert (task.state, task.worker_id) == (TaskState.CANCELED, "worker")
    assert list((await store.apply("worker", operations(1, START, first=2))).refusals) == [2]


async def test_queue_timeout(store: TaskStore, clock: FakeClock) -> None:
    """A task that no worker has started in time FAILED; its own time goes before the policy's."""
    await store.create(submission(1, queue_timeout=timedelta(seconds=5)))
    await store.create(submission(2))
    claimed = await register(store, "worker", "agent", "cook")
    await store.create(submission(3, "cook", queue_timeout=timedelta(seconds=5)))
    await store.claim("worker", claimed.epoch, 1)

    clock.move(5)
    (change,) = await store.end_overdue(10)

    assert (change.task.task_id, change.task.state, change.task.state_reason) == (1, TaskState.FAILED, "QUEUE_TIMEOUT")
    clock.move(24 * 3600)
    assert [change.task.task_id for change in await store.end_overdue(10)] == [2]


async def test_overdue_in_parts(store: TaskStore, clock: FakeClock) -> None:
    """Many overdue tasks are ended a part at a time, each once."""
    for task_id in range(1, 8):
        await store.create(submission(task_id, queue_timeout=timedelta(seconds=5)))
    clock.move(10)

    parts = [await store.end_overdue(3) for _ in range(4)]

    assert [len(part) for part in parts] == [3, 3, 1, 0]
    assert sorted(change.task.task_id for part in parts for change in part) == list(range(1, 8))
