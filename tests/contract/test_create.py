"""Submitting tasks, and the tasks that wait for a worker."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from outlast.core.errors import IdempotencyConflict, TaskExists, TaskNotFound
from outlast.core.event import Change
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .making import START, operations, start_tasks, submission

ONCE = submission(1, idempotency_key="once", input=b"{}", session_id="session", labels={"a": "1", "b": "2"})


async def test_taken_id(store: TaskStore) -> None:
    """An id is given once."""
    before = await store.create(submission(1))
    assert isinstance(before, Change)

    with pytest.raises(TaskExists):
        await store.create(submission(1, "other"))

    assert before.task == await store.get(1)


async def test_same_key_is_the_same_task(store: TaskStore) -> None:
    """A repeated request answers the task that the first one made, as it stands now."""
    await store.create(ONCE)
    await store.register_worker("worker", "agent")
    await store.apply("worker", operations(1, START))

    again = await store.create(replace(ONCE, task_id=2, request_id="another", labels={"b": "2", "a": "1"}))

    assert isinstance(again, Task)
    assert (again.task_id, again.state) == (1, TaskState.WORKING)
    with pytest.raises(TaskNotFound):
        await store.get(2)


async def test_same_key_at_the_same_time(store: TaskStore) -> None:
    """Of many requests with one key that arrive together, one makes the task."""
    outcomes = await asyncio.gather(*(store.create(replace(ONCE, task_id=task_id)) for task_id in range(1, 21)))

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
    ],
)
async def test_key_of_another_request(store: TaskStore, other: Task) -> None:
    """A key that was used with another body is a conflict that names the task."""
    await store.create(ONCE)

    with pytest.raises(IdempotencyConflict, match="tasks/1"):
        await store.create(other)

    with pytest.raises(TaskNotFound):
        await store.get(2)


async def test_keys_are_per_agent(store: TaskStore) -> None:
    """Two agents may use the same key."""
    await store.create(ONCE)

    assert isinstance(await store.create(replace(ONCE, task_id=2, agent="other")), Change)


async def test_no_key(store: TaskStore) -> None:
    """Without a key every request is a task."""
    for task_id in (1, 2):
        assert isinstance(await store.create(replace(ONCE, task_id=task_id, idempotency_key="")), Change)


async def test_submitted(store: TaskStore, clock: FakeClock) -> None:
    """The tasks that wait for a worker of some types come the oldest first, with their input."""
    for task_id, task_type in [(5, "cook"), (3, "research"), (9, "research"), (2, "clean"), (1, "research")]:
        clock.move()
        await store.create(submission(task_id, task_type, input=b"{}"))
    await store.create(submission(20, agent="other"))
    await store.register_worker("worker", "agent")
    await store.apply("worker", operations(9, START))

    waiting = await store.submitted("agent", ["research", "cook"], 10)

    assert [task.task_id for task in waiting] == [5, 3, 1]
    assert waiting[0] == await store.get(5)
    assert [task.task_id for task in await store.submitted("agent", ["research", "cook"], 2)] == [5, 3]
    assert await store.submitted("agent", [], 10) == []


async def test_start_of_a_submitted_task(store: TaskStore) -> None:
    """A worker of the agent starts a submitted task under its own epoch, as attempt 1."""
    await start_tasks(store, "first", [99])
    await store.create(submission(1, session_id="session"))
    worker = await store.register_worker("worker", "agent")

    await store.apply("worker", operations(1, START))

    task = await store.get(1)
    assert (TaskState.WORKING, "worker", worker.epoch, 1) == (task.state, task.worker_id, task.epoch, task.attempt)
    assert task.session_id == "session"
