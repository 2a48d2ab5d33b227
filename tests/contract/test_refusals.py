"""What the lifecycle refuses harms nothing else."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import (
    IllegalTransition,
    LeaseLost,
    OutlastError,
    StoreRefused,
    StoreUnavailable,
    TaskExists,
    TaskNotFound,
)
from outlast.core.operation import Action, Operation, Start
from outlast.core.state import TaskState
from outlastd.stores.port import TaskStore

from .making import AT, CHUNK, DONE, FAILED, HALF, START, operations, register, start_tasks, submission


async def test_neighbours_of_a_refusal(store: TaskStore) -> None:
    """Operations before and after a refused one are applied."""
    await register(store, "worker")
    batch = [Operation(1, 1, AT, START), Operation(2, 99, AT, DONE), Operation(3, 1, AT, DONE)]

    applied = await store.apply("worker", batch)

    assert len(applied.changes) == 2
    assert list(applied.refusals) == [2]
    assert isinstance(applied.refusals[2], TaskNotFound)
    assert TaskState.COMPLETED is (await store.get(1)).state


@pytest.mark.parametrize("action", [HALF, CHUNK, DONE, FAILED])
@pytest.mark.parametrize(
    ("task_id", "refusal"), [(1, LeaseLost), (2, LeaseLost), (3, LeaseLost), (4, IllegalTransition), (5, TaskNotFound)]
)
async def test_refused(store: TaskStore, task_id: int, refusal: type[OutlastError], action: Action) -> None:
    """Tasks of another worker, nobody's, ended or unknown: each has its refusal, and stays as it was."""
    await start_tasks(store, "other", [1, 2])
    await store.apply("other", operations(2, DONE, first=3))
    await store.create(submission(3))
    await register(store, "worker")
    await store.apply("worker", operations(4, START, DONE))
    before = [await store.get(known) for known in (1, 2, 3, 4)]

    applied = await store.apply("worker", operations(task_id, action, first=3))

    assert isinstance(applied.refusals[3], refusal)
    assert not applied.changes
    assert before == [await store.get(known) for known in (1, 2, 3, 4)]


async def test_create_of_a_taken_id(store: TaskStore) -> None:
    """A start with the id of another worker's task is refused, never merged."""
    await start_tasks(store, "first", [1])
    before = await store.get(1)
    await register(store, "second")

    applied = await store.apply("second", operations(1, START, DONE))

    assert isinstance(applied.refusals[1], TaskExists)
    assert isinstance(applied.refusals[2], LeaseLost)
    assert before == await store.get(1)


async def test_start_of_another_task_type(store: TaskStore) -> None:
    """A start whose id is a submitted task of another type, or agent, is a taken id."""
    await store.create(submission(1, "research"))
    await store.create(submission(2, "research", agent="other"))
    await register(store, "worker")

    applied = await store.apply("worker", [Operation(1, 1, AT, Start("cook")), Operation(2, 2, AT, START)])

    assert [TaskExists, TaskExists] == [type(refusal) for refusal in applied.refusals.values()]


async def test_refused_batch_leaves_nothing(store: TaskStore) -> None:
    """A batch that the database refuses writes nothing and does not count as applied."""
    await register(store, "worker")
    batch = [*operations(1, START), Operation(2, 2, AT, Start("lone \ud800 surrogate"))]

    with pytest.raises(StoreRefused):
        await store.apply("worker", batch)

    assert (await register(store, "worker")).applied_sequence == 0
    with pytest.raises(TaskNotFound):
        await store.get(1)


async def test_refused_batch_harms_no_other(store: TaskStore) -> None:
    """Batches that are committed together with one that the database refuses are applied."""
    workers = [f"worker-{number}" for number in range(20)]
    await asyncio.gather(*(register(store, worker_id) for worker_id in workers))
    types = ["\ud800" if number % 5 == 0 else "research" for number in range(20)]

    outcomes = await asyncio.gather(
        *(
            store.apply(worker_id, operations(number + 1, Start(types[number]), DONE))
            for number, worker_id in enumerate(workers)
        ),
        return_exceptions=True,
    )

    for number, outcome in enumerate(outcomes):
        if number % 5 == 0:
            assert isinstance(outcome, StoreRefused)
        else:
            assert TaskState.COMPLETED is (await store.get(number + 1)).state


async def test_unknown_worker(store: TaskStore) -> None:
    """A worker that is not registered writes nothing and is told so."""
    with pytest.raises(StoreUnavailable, match="stranger"):
        await store.apply("stranger", operations(1, START))
