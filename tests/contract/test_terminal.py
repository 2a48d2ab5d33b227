"""Terminal is final: nothing changes a task that has ended."""

from __future__ import annotations

import pytest

from outlast.core.errors import IllegalTransition
from outlast.core.operation import Finish
from outlast.core.state import TERMINAL, TaskState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import CHUNK, DONE, FAILED, HALF, START, operations, start_tasks


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_ended_task_stays(store: TaskStore, clock: FakeClock, state: TaskState) -> None:
    """No operation, no cancel, no loss of its worker and no lapse of time touches a task that has ended."""
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, Finish(state), first=2))
    before = await store.get(7), await store.events(7, 0, 100)
    epoch = before[0].epoch
    assert state is before[0].state

    applied = await store.apply("worker", operations(7, START, HALF, CHUNK, DONE, FAILED, first=3))
    with pytest.raises(IllegalTransition):
        await store.request_cancel(7)
    lost = await store.lose_worker("worker", epoch, "gone")
    clock.move(1e5)
    overdue = await store.end_overdue(10)

    assert list(applied.refusals) == [3, 4, 5, 6, 7]
    assert not applied.changes
    assert not lost
    assert not overdue
    assert before == (await store.get(7), await store.events(7, 0, 100))


async def test_first_end_wins(store: TaskStore) -> None:
    """Of two ends in one batch the second is refused."""
    await start_tasks(store, "worker", [7])

    applied = await store.apply("worker", operations(7, FAILED, DONE, first=2))

    assert list(applied.refusals) == [3]
    assert TaskState.FAILED is (await store.get(7)).state
