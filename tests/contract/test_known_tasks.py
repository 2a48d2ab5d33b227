"""A store decides a batch by what it has written last: whatever else has happened since is found all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import pytest

from outlast.core.errors import IllegalTransition, LeaseLost, TaskExists
from outlast.core.operation import Action, Operation
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlastd.stores.active_tasks import ActiveTasks
from outlastd.stores.port import TaskStore

from .conftest import Backend
from .making import AT, CHUNK, DONE, HALF, START, operations, register, start_tasks, submission


async def test_a_cancel_by_another_store_is_kept(backend: Backend) -> None:
    """A report after a cancel that came through another store writes over nothing of it."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])
    asked, _ = await other.request_cancel(1)

    applied = await one.apply("worker", operations(1, HALF, first=2))

    [change] = applied.changes
    assert change.task.cancel_requested_at == asked.cancel_requested_at
    assert await other.get(1) == change.task
    assert [event.generation for event in await one.events(1, 0, 10)] == [1, 2, 3]


async def test_a_lease_that_another_store_took_is_lost(backend: Backend) -> None:
    """Operations under an epoch that another store has ended are refused (promise 5); a create is not."""
    one, other = await backend.open(), await backend.open()
    worker = await register(one, "worker")
    await one.apply("worker", operations(1, START))
    await other.lose_worker("worker", worker.epoch, "gone")

    applied = await one.apply("worker", [*operations(1, HALF, first=2), *operations(2, START, first=3)])

    assert isinstance(applied.refusals[2], LeaseLost | IllegalTransition)
    assert [change.task.task_id for change in applied.changes] == [2]
    assert (await other.get(1)).state is TaskState.FAILED


async def test_an_id_that_another_store_has_given_is_refused(backend: Backend) -> None:
    """A task that another worker has made elsewhere is not merged with; its neighbours in the batch are applied."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])
    await start_tasks(other, "other", [7])

    batch = [Operation(number, task_id, AT, START) for number, task_id in enumerate((6, 7, 8), 2)]
    applied = await one.apply("worker", batch)

    assert [type(refusal) for refusal in applied.refusals.values()] == [TaskExists]
    assert [change.task.task_id for change in applied.changes] == [6, 8]


async def test_a_worker_that_spoke_to_another_store_is_not_applied_twice(backend: Backend) -> None:
    """What a worker has sent through another store is a replay here, and what comes after it is applied."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])
    assert len((await other.apply("worker", operations(1, HALF, CHUNK, first=2))).changes) == 2

    applied = await one.apply("worker", operations(1, HALF, CHUNK, DONE, first=2))

    assert [change.event.generation for change in applied.changes] == [4]
    assert len(await one.events(1, 0, 10)) == 4


async def test_a_task_that_was_deleted_does_not_come_back(backend: Backend) -> None:
    """A finished task that another store has deleted stays away, whatever its worker still says of it."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])
    await one.apply("worker", operations(1, DONE, first=2))
    await other.delete(1)

    assert set((await one.apply("worker", operations(1, HALF, first=3))).refusals) == {3}


@pytest.mark.parametrize("count", [1, 31, 33, 100, 300, 900])
async def test_batches_of_any_size(store: TaskStore, count: int) -> None:
    """A batch is applied whole, whatever its size: new tasks, reports of known ones and ends in each."""
    await register(store, "worker")
    sequence = 0
    rounds: list[list[Action]] = [[START, HALF], [HALF, CHUNK], [HALF, DONE]]
    for actions in rounds:
        batch = []
        for action in actions:
            for task_id in range(1, count + 1):
                sequence += 1
                batch.append(Operation(sequence, task_id, AT, action))
        applied = await store.apply("worker", batch)
        assert not applied.refusals
        assert len(applied.changes) == len(batch)
    for task_id in (1, count):
        task = await store.get(task_id)
        assert (task.state, task.generation, task.progress) == (TaskState.COMPLETED, 6, HALF.progress)
        events = await store.events(task_id, 0, 10)
        assert [event.generation for event in events] == [1, 2, 3, 4, 5, 6]
        assert events[-1].result == DONE.result


async def test_the_neighbours_of_a_batch_that_is_refused_are_applied(store: TaskStore) -> None:
    """Batches that are committed together do not hang on each other: one that the database refuses undoes itself."""
    await register(store, "other")
    await start_tasks(store, "worker", [1])
    poison = [Operation(2, 1, AT, HALF), Operation(1 << 64, 1, AT, DONE)]
    outcomes = await asyncio.gather(
        store.apply("other", operations(2, START)),
        store.apply("worker", poison),
        register(store, "third"),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], Exception)
    assert (await store.get(2)).state is TaskState.WORKING
    assert (await store.get(1)).generation == 1
    assert len((await store.apply("worker", operations(1, HALF, first=2))).changes) == 1


async def test_batches_of_workers_that_are_written_together(store: TaskStore) -> None:
    """Batches that are committed together are each applied whole, in their own order, and each for its own worker."""
    workers = [f"worker-{number}" for number in range(1, 8)]
    for worker_id in workers:
        await register(store, worker_id)

    for first, actions in ((1, [START, HALF]), (3, [CHUNK]), (4, [HALF, DONE])):
        outcomes = await asyncio.gather(
            *(
                store.apply(worker_id, operations(number, *actions, first=first))
                for number, worker_id in enumerate(workers, 1)
            )
        )
        assert [len(applied.changes) for applied in outcomes] == [len(actions)] * len(workers)

    for number, worker_id in enumerate(workers, 1):
        task = await store.get(number)
        assert (task.state, task.worker_id, task.generation) == (TaskState.COMPLETED, worker_id, 5)
        assert (await register(store, worker_id)).applied_sequence == 5


async def test_one_of_many_batches_that_is_stale(backend: Backend) -> None:
    """A batch that has to be decided anew, since another store was there, holds up none that was written with it."""
    one, other = await backend.open(), await backend.open()
    for number in (1, 2, 3):
        await start_tasks(one, f"worker-{number}", [number])
    await other.request_cancel(2)

    outcomes = await asyncio.gather(
        *(one.apply(f"worker-{number}", operations(number, HALF, first=2)) for number in (1, 2, 3))
    )

    assert [applied.changes[0].event.generation for applied in outcomes] == [2, 3, 2]
    assert outcomes[1].changes[0].task.cancel_requested_at is not None


async def test_what_is_not_changed_by_batches_is_known_too(store: TaskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim, a cancel and an end by force are taken note of: the next batch needs no second try, an end no room."""
    kept: dict[int, TaskState] = {}
    keep = ActiveTasks.keep

    def noted(active: ActiveTasks, tasks: Iterable[Task]) -> None:
        tasks = list(tasks)
        kept.update((task.task_id, task.state) for task in tasks)
        keep(active, tasks)

    monkeypatch.setattr(ActiveTasks, "keep", noted)
    worker = await register(store, "worker", "agent", "research")
    await store.create(submission(1))
    await store.claim("worker", worker.epoch, 1)
    assert kept == {1: TaskState.WORKING}
    await store.apply("worker", operations(2, START))
    kept.clear()
    await store.request_cancel(1)
    assert kept == {1: TaskState.WORKING}
    await store.request_cancel(1, force=True, grace=timedelta())
    await store.end_overdue(10)
    assert kept == {1: TaskState.CANCELED}
    await store.lose_worker("worker", worker.epoch, "gone")
    assert kept == {1: TaskState.CANCELED, 2: TaskState.FAILED}


async def test_a_worker_that_says_something_else_of_itself(store: TaskStore) -> None:
    """What a worker makes after it has connected again is as it says then, not as it was known before."""
    await start_tasks(store, "worker", [1])
    await register(store, "worker", "another")

    (change,) = (await store.apply("worker", operations(2, START, first=2))).changes

    assert change.task.agent == "another"
    assert (await store.get(2)).agent == "another"
