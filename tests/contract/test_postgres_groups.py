"""The batches of many workers go together on PostgreSQL, and none of them stands in another's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import asyncpg
import pytest

from outlast.core.errors import IllegalTransition, LeaseLost, StoreRefused, StoreUnavailable, TaskExists
from outlast.core.operation import Action, Operation, Start
from outlast.core.state import TaskState
from outlastd.stores import postgres_grouping, postgres_pool
from outlastd.stores.port import Applied, TaskFilter
from outlastd.stores.postgres import PostgresTaskStore

from .line import line_to
from .making import CHUNK, DONE, HALF, START, operations, register

WORKERS = [f"worker-{number}" for number in range(8)]


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresTaskStore]:
    """Return a store with eight workers."""
    store = await PostgresTaskStore.open(postgres_url)
    for worker_id in WORKERS:
        await register(store, worker_id)
    yield store
    await store.close()


async def apply_all(
    store: PostgresTaskStore, batches: Mapping[str, Sequence[Operation]]
) -> dict[str, Applied | BaseException]:
    """Apply batches of several workers at the same time; return what became of each."""
    outcomes = await asyncio.gather(
        *(store.apply(worker_id, batch) for worker_id, batch in batches.items()), return_exceptions=True
    )
    return dict(zip(batches, outcomes, strict=True))


def starts(first: int = 1, sequence: int = 1, start: Start = START) -> dict[str, Sequence[Operation]]:
    """Return a batch for each worker that starts a task of its own."""
    return {worker: operations(n, start, first=sequence) for n, worker in enumerate(WORKERS, first)}


async def test_one_transaction(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What many workers say at the same time takes as many round trips as there are groups."""
    monkeypatch.setattr(postgres_pool, "POOL_SIZE", 1)
    async with line_to(postgres_url) as (line, url):
        store = await PostgresTaskStore.open(url)
        for worker_id in WORKERS:
            await register(store, worker_id)
        await apply_all(store, starts())
        before = line.questions

        outcomes = await apply_all(store, starts(first=101, sequence=2))

        assert all(isinstance(outcome, Applied) and len(outcome.changes) == 1 for outcome in outcomes.values())
        assert line.questions - before == 1
        await store.close()


async def test_worker_that_is_not_there(store: PostgresTaskStore) -> None:
    """A worker that the database does not know fails alone."""
    outcomes = await apply_all(store, {"nobody": operations(99, START), **starts()})

    failed = outcomes.pop("nobody")
    assert isinstance(failed, StoreUnavailable)
    assert "nobody is not registered" in str(failed)
    assert all(isinstance(outcome, Applied) and outcome.changes for outcome in outcomes.values())


async def test_batch_that_the_database_refuses(store: PostgresTaskStore) -> None:
    """What the database will never take is refused to the worker that sent it; the others' batches are written once."""
    batches = starts()
    batches[WORKERS[3]] = operations(4, replace(START, session_id="\x00"))

    outcomes = await apply_all(store, batches)

    assert isinstance(outcomes.pop(WORKERS[3]), StoreRefused)
    assert all(isinstance(outcome, Applied) and len(outcome.changes) == 1 for outcome in outcomes.values())
    for task_id in (1, 2, 3, 5, 6, 7, 8):
        assert [event.generation for event in await store.events(task_id, 0, 10)] == [1]


async def test_refusal_by_the_lifecycle(store: PostgresTaskStore) -> None:
    """An operation that is refused harms neither its own batch nor the others'."""
    await apply_all(store, starts())
    await store.apply(WORKERS[0], operations(1, DONE, first=2))

    ends = {worker: operations(n, DONE, first=3) for n, worker in enumerate(WORKERS, 1)}
    outcomes = await apply_all(store, ends)

    refused = outcomes.pop(WORKERS[0])
    assert isinstance(refused, Applied)
    assert isinstance(refused.refusals[3], IllegalTransition)
    assert all(isinstance(outcome, Applied) and len(outcome.changes) == 1 for outcome in outcomes.values())


async def test_one_id_of_two_workers(store: PostgresTaskStore) -> None:
    """Of two workers that make a task of one id at the same time one has made it, and the other is refused."""
    outcomes = await apply_all(store, {worker: operations(7, START) for worker in WORKERS})

    applied = [outcome for outcome in outcomes.values() if isinstance(outcome, Applied)]
    assert len(applied) == len(WORKERS)
    assert sum(len(outcome.changes) for outcome in applied) == 1
    refusals = [refusal for outcome in applied for refusal in outcome.refusals.values()]
    assert len(refusals) == len(WORKERS) - 1
    assert all(isinstance(refusal, TaskExists) for refusal in refusals)
    assert [event.generation for event in await store.events(7, 0, 10)] == [1]


async def test_lost_lease(store: PostgresTaskStore, postgres_url: str) -> None:
    """A worker whose lease another process has taken is refused by what is there; the others never notice."""
    await apply_all(store, starts())
    other = await PostgresTaskStore.open(postgres_url)
    (epoch,) = [worker.epoch for worker in await other.living_workers() if worker.worker_id == WORKERS[2]]
    await other.lose_worker(WORKERS[2], epoch, "gone")

    outcomes = await apply_all(store, {w: operations(n, HALF, first=2) for n, w in enumerate(WORKERS, 1)})

    zombie = outcomes.pop(WORKERS[2])
    assert isinstance(zombie, Applied)
    assert isinstance(zombie.refusals[2], LeaseLost | IllegalTransition)
    assert all(isinstance(outcome, Applied) and len(outcome.changes) == 1 for outcome in outcomes.values())
    assert (await store.get(3)).state is TaskState.FAILED
    await other.close()


async def test_worker_that_somebody_is_at(store: PostgresTaskStore, postgres_url: str) -> None:
    """A worker's row that another transaction holds keeps that worker waiting, and no other."""
    holder = await asyncpg.connect(postgres_url)
    held = holder.transaction()
    await held.start()
    await holder.execute("SELECT FROM outlast.workers WHERE worker_id = $1 FOR SHARE", WORKERS[5])

    applying = {worker: asyncio.ensure_future(store.apply(worker, batch)) for worker, batch in starts().items()}
    kept = applying.pop(WORKERS[5])
    applied = await asyncio.gather(*applying.values())
    again = await asyncio.gather(
        *(store.apply(w, operations(n, CHUNK, first=2)) for n, w in enumerate(WORKERS, 1) if w != WORKERS[5])
    )

    assert all(len(outcome.changes) == 1 for outcome in [*applied, *again])
    assert not kept.done()
    await held.rollback()
    assert len((await kept).changes) == 1
    await holder.close()


async def test_batches_of_one_worker(store: PostgresTaskStore) -> None:
    """The batches of a worker are applied in the order in which they came, among those of others."""
    steps: Sequence[Action] = (START, HALF, CHUNK, DONE)
    asked = [
        *(store.apply(WORKERS[0], operations(1, step, first=n)) for n, step in enumerate(steps, 1)),
        *(store.apply(worker, batch) for worker, batch in list(starts().items())[1:]),
    ]

    outcomes = await asyncio.gather(*asked)

    assert all(len(outcome.changes) == 1 for outcome in outcomes)
    assert [event.generation for event in await store.events(1, 0, 10)] == [1, 2, 3, 4]


async def test_sizes(store: PostgresTaskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are too many or too large to go together go one after the other."""
    for name in ("MAX_OPERATIONS", "MAX_BYTES"):
        with monkeypatch.context() as patched:
            patched.setattr(postgres_grouping, name, 1)
            base = 100 if name == "MAX_BYTES" else 0
            outcomes = await apply_all(store, starts(1 + base, 1 + base))

            assert all(isinstance(outcome, Applied) and len(outcome.changes) == 1 for outcome in outcomes.values())


async def test_nobody_waits_any_more(store: PostgresTaskStore, postgres_url: str) -> None:
    """A batch that was taken on is applied though its caller is gone, and a store is closed only after it."""
    asked = [asyncio.ensure_future(store.apply(worker, batch)) for worker, batch in starts().items()]
    await asyncio.sleep(0)
    for each in asked:
        each.cancel()

    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await store.apply(WORKERS[0], operations(1, DONE, first=2))
    again = await PostgresTaskStore.open(postgres_url)
    assert len(await again.list(TaskFilter(), 10)) == len(WORKERS)
    await again.close()


async def test_closed_while_many_wait(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is closed finishes every group that was taken on, also those that have not begun."""
    monkeypatch.setattr(postgres_grouping, "MAX_OPERATIONS", 1)
    store = await PostgresTaskStore.open(postgres_url)
    for worker_id in WORKERS:
        await register(store, worker_id)
    asked = [asyncio.ensure_future(store.apply(worker, batch)) for worker, batch in starts().items()]
    await asyncio.sleep(0)

    await store.close()

    assert [len((await each).changes) for each in asked] == [1] * len(WORKERS)
