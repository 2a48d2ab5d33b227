"""Submitting tasks, and what makes a repeated request one task."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from outlast.core.errors import BacklogFull, IdempotencyConflict, TaskExists, TaskNotFound
from outlast.core.event import Change
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import DONE, operations, register, submission

ONCE = submission(1, idempotency_key="once", input=b"{}", session_id="session", labels={"a": "1", "b": "2"})
DAY = timedelta(days=1).total_seconds()


async def reason(store: TaskStore, task: Task) -> str:
    """Create a task and return why it stands where it does."""
    change = await store.create(task)
    assert isinstance(change, Change)
    assert change.task == await store.get(task.task_id)
    assert change.event.state_reason == change.task.state_reason
    return change.task.state_reason


async def test_taken_id(store: TaskStore) -> None:
    """An id is given once."""
    before = await store.create(submission(1))
    assert isinstance(before, Change)

    with pytest.raises(TaskExists):
        await store.create(submission(1, "other"))

    assert before.task == await store.get(1)


async def test_nobody_runs_it(store: TaskStore) -> None:
    """Without a living worker that could run it the reason is NO_WORKER; the task is recorded all the same."""
    assert await reason(store, submission(1)) == "NO_WORKER"
    await register(store, "other agent", "other", "research")
    await register(store, "other type", "agent", "cook")
    await register(store, "other session", "agent", "research", session_id="s-1")
    await register(store, "draining", "agent", "research", draining=True)
    gone = await register(store, "gone", "agent", "research")
    await store.lose_worker("gone", gone.epoch, "gone")

    assert await reason(store, submission(2, session_id="s-2")) == "NO_WORKER"


async def test_somebody_runs_it(store: TaskStore) -> None:
    """With a living worker of its agent, type and session a task has no reason."""
    await register(store, "any session", "agent", "research", "cook")
    await register(store, "one session", "agent", "clean", session_id="s-1")

    assert await reason(store, submission(1, session_id="s-1")) == ""
    assert await reason(store, submission(2, "cook")) == ""
    assert await reason(store, submission(3, "clean", session_id="s-1")) == ""
    assert await reason(store, submission(4, "clean")) == "NO_WORKER"


async def test_backlog(backend: Backend, clock: FakeClock) -> None:
    """Beyond the limit an agent's next task is refused, and room comes with a claim; other agents have theirs."""
    store = await backend.open(replace(DEFAULT_POLICY, max_backlog=3))
    worker = await register(store, "worker", "agent", "research")
    for task_id in (1, 2, 3):
        await store.create(submission(task_id, idempotency_key=str(task_id)))

    with pytest.raises(BacklogFull, match="3 tasks of agent agent wait"):
        await store.create(submission(4))
    with pytest.raises(TaskNotFound):
        await store.get(4)
    again = await store.create(submission(4, idempotency_key="2"))
    assert isinstance(again, Task)
    await store.create(submission(5, agent="other"))
    assert len(await store.claim("worker", worker.epoch, 1)) == 1

    assert isinstance(await store.create(submission(4)), Change)


async def test_same_key_is_the_same_task(store: TaskStore) -> None:
    """A repeated request answers the task that the first one made, as it stands now."""
    await store.create(ONCE)
    worker = await register(store, "worker", "agent", "research")
    await store.claim("worker", worker.epoch, 1)

    again = await store.create(replace(ONCE, task_id=2, request_id="another", labels={"b": "2", "a": "1"}))

    assert isinstance(again, Task)
    assert (again.task_id, again.state) == (1, TaskState.WORKING)
    with pytest.raises(TaskNotFound):
        await store.get(2)


async def test_same_key_at_the_same_time(backend: Backend) -> None:
    """Of many requests with one key that arrive together, at several stores, one makes the task."""
    stores = [await backend.open(), await backend.open()]

    outcomes = await asyncio.gather(
        *(stores[task_id % 2].create(replace(ONCE, task_id=task_id)) for task_id in range(1, 21))
    )

    assert sum(isinstance(outcome, Change) for outcome in outcomes) == 1
    made = {outcome.task.task_id if isinstance(outcome, Change) else outcome.task_id for outcome in outcomes}
    assert len(made) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(ONCE, task_id=2, task_type="other"),
        replace(ONCE, task_id=2, input=None),
        replace(ONCE, task_id=2, session_id="other"),
        replace(ONCE, task_id=2, labels={"a": "1"}),
        replace(ONCE, task_id=2, max_attempts=2),
        replace(ONCE, task_id=2, timeout=timedelta(seconds=1)),
    ],
)
async def test_key_of_another_request(store: TaskStore, other: Task) -> None:
    """A key that was used with another body is a conflict that names the task."""
    await store.create(ONCE)

    with pytest.raises(IdempotencyConflict, match="tasks/1"):
        await store.create(other)

    with pytest.raises(TaskNotFound):
        await store.get(2)


async def test_keys_are_per_caller_and_agent(store: TaskStore) -> None:
    """Two agents, and two callers of one, may use the same key."""
    await store.create(ONCE, "anna")

    assert isinstance(await store.create(replace(ONCE, task_id=2, agent="other"), "anna"), Change)
    assert isinstance(await store.create(replace(ONCE, task_id=3), "bert"), Change)
    assert isinstance(await store.create(replace(ONCE, task_id=4)), Change)
    for task_id, caller in [(1, "anna"), (3, "bert"), (4, "")]:
        again = await store.create(replace(ONCE, task_id=9), caller)
        assert isinstance(again, Task)
        assert task_id == again.task_id


async def test_keys_are_kept_for_a_day(store: TaskStore, clock: FakeClock) -> None:
    """A key stands for its task for 24 hours by the store's clock; then it makes a new one, whatever the request."""
    await store.create(ONCE)
    clock.move(DAY - 1)
    again = await store.create(replace(ONCE, task_id=2))
    assert isinstance(again, Task)

    clock.move(1)
    assert isinstance(await store.create(replace(ONCE, task_id=2, task_type="other")), Change)

    assert (await store.get(1)).task_type == "research"
    again = await store.create(replace(ONCE, task_id=3, task_type="other"))
    assert isinstance(again, Task)
    assert again.task_id == 2


async def test_key_goes_with_its_task(store: TaskStore) -> None:
    """The key of a deleted task may be used again."""
    await store.create(ONCE)
    await store.request_cancel(1)
    await store.delete(1)

    assert isinstance(await store.create(replace(ONCE, task_id=2)), Change)


async def test_no_key(store: TaskStore) -> None:
    """Without a key every request is a task."""
    for task_id in (1, 2):
        assert isinstance(await store.create(replace(ONCE, task_id=task_id, idempotency_key="")), Change)


async def test_worker_cannot_start_it_by_itself(store: TaskStore) -> None:
    """A task that was created from outside is begun by a claim only."""
    await store.create(submission(1))
    await register(store, "worker", "agent", "research")

    applied = await store.apply("worker", operations(1, DONE))

    assert list(applied.refusals) == [1]
    assert TaskState.SUBMITTED is (await store.get(1)).state
