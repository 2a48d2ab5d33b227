"""A worker that has lost a task and was given it again cannot end it with what its earlier attempt said (promise 5)."""

from __future__ import annotations

from outlast.core.errors import LeaseLost
from outlast.core.operation import Finish, Operation
from outlast.core.state import TaskState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import AT, register, submission


def end(sequence: int, attempt: int) -> Operation:
    """Return the end of an attempt, which says whose it is."""
    return Operation(sequence, 1, AT, Finish(TaskState.COMPLETED, result=b"%d" % attempt), attempt=attempt)


async def test_the_end_of_an_earlier_attempt(store: TaskStore, clock: FakeClock) -> None:
    """It is refused, though worker and epoch are those that hold the task; that of the newest attempt is taken."""
    worker = await register(store, "worker", "agent", "research")
    await store.create(submission(1, max_attempts=3))
    await store.claim("worker", worker.epoch, 1)
    await store.lose_worker("worker", worker.epoch, "was away")
    clock.move(60)
    worker = await register(store, "worker", "agent", "research")
    (change,) = await store.claim("worker", worker.epoch, 1)
    assert change.task.attempt == 2

    applied = await store.apply("worker", [end(1, attempt=1), end(2, attempt=2)])

    assert {sequence: type(refusal) for sequence, refusal in applied.refusals.items()} == {1: LeaseLost}
    assert (await store.get(1)).result == b"2"
