"""How often the store asks PostgreSQL: a batch of operations is one question."""

from __future__ import annotations

import asyncio

import pytest

from outlastd.stores import postgres_pool
from outlastd.stores.postgres import PostgresTaskStore

from .line import line_to
from .making import CHUNK, DONE, HALF, START, operations, register, submission


async def test_batch(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a connection knows its statements a batch takes one round trip: of new tasks, of known ones, of ends."""
    monkeypatch.setattr(postgres_pool, "POOL_SIZE", 1)
    async with line_to(postgres_url) as (line, url):
        store = await PostgresTaskStore.open(url)
        await register(store, "worker")
        batches = [
            operations(number, START, HALF, first=first) + operations(number + 1, START, CHUNK, first=first + 2)
            for number, first in ((1, 1), (3, 11))
        ]
        ends = [
            operations(number, HALF, DONE, first=first) + operations(number + 1, DONE, first=first + 2)
            for number, first in ((1, 5), (3, 15))
        ]
        await store.apply("worker", batches[0])
        await store.apply("worker", ends[0])

        before = line.questions
        applied = [await store.apply("worker", batches[1]), await store.apply("worker", ends[1])]

        assert [len(each.changes) for each in applied] == [4, 3]
        assert line.questions - before == 2
        await store.close()


async def test_submitted_task(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that is submitted takes two round trips, and two more to be given to a worker."""
    monkeypatch.setattr(postgres_pool, "POOL_SIZE", 1)
    async with line_to(postgres_url) as (line, url):
        store = await PostgresTaskStore.open(url)
        worker = await register(store, "worker", "agent", "research")
        await store.create(submission(1))
        await store.claim("worker", worker.epoch, 1)

        before = line.questions
        await store.create(submission(2))
        (change,) = await store.claim("worker", worker.epoch, 1)

        assert change.task.task_id == 2
        assert line.questions - before == 4
        await store.close()


async def test_claims_that_meet(postgres_url: str) -> None:
    """Two task managers that claim at the same moment give every task once, the oldest first."""
    stores = [await PostgresTaskStore.open(postgres_url) for _ in range(2)]
    workers = [await register(store, f"worker-{n}", "agent", "research") for n, store in enumerate(stores)]
    for task_id in range(1, 41):
        await stores[0].create(submission(task_id))

    claims = [
        store.claim(worker.worker_id, worker.epoch, 10)
        for store, worker in zip(stores, workers, strict=True)
        for _ in range(2)
    ]
    given = [[change.task.task_id for change in changes] for changes in await asyncio.gather(*claims)]

    assert sorted(task_id for each in given for task_id in each) == list(range(1, 41))
    assert all(each == sorted(each) for each in given)
    for store in stores:
        await store.close()


async def test_batch_that_meets_a_change(postgres_url: str) -> None:
    """A batch for a task that somebody else has changed meanwhile is decided anew, by what is there."""
    store, other = await PostgresTaskStore.open(postgres_url), await PostgresTaskStore.open(postgres_url)
    worker = await register(store, "worker", "agent", "research")
    await store.apply("worker", operations(1, START))
    await other.request_cancel(1)

    applied = await store.apply("worker", operations(1, HALF, DONE, first=2))

    assert [change.event.generation for change in applied.changes] == [3, 4]
    assert [event.generation for event in await other.events(1, 0, 10)] == [1, 2, 3, 4]

    await store.create(submission(9))
    (change,) = await other.claim("worker", worker.epoch, 1)
    applied = await store.apply("worker", operations(9, DONE, first=4))
    assert [change.event.generation + 1] == [each.event.generation for each in applied.changes]
    for each in (store, other):
        await each.close()
