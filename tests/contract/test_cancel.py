"""Requests to cancel."""

from __future__ import annotations

import pytest

from outlast.core.errors import IllegalTransition, TaskNotFound
from outlast.core.state import TaskState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import DONE, operations, start_tasks, submission


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
    """A task that no worker has started is CANCELED at once and not offered any more."""
    await store.create(submission(1))

    task, change = await store.request_cancel(1)

    assert change is not None
    assert TaskState.CANCELED is task.state
    assert await store.submitted("agent", ["research"], 10) == []


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
