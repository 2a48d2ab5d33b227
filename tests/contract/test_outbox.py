"""The span outbox: every sampled task that ends gets a row in the transaction that ends it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from outlast.core.event import EventKind
from outlast.core.operation import Start
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TaskState
from outlast.core.task import TraceContext
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import CHUNK, DONE, FAILED, HALF, operations, register, start_tasks, submission

SPANS = replace(DEFAULT_POLICY, spans=True)
SAMPLED = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
TRACED = Start("research", trace_context=SAMPLED)


@pytest.fixture
async def spans(backend: Backend) -> TaskStore:
    """Return a store that keeps an outbox."""
    return await backend.open(SPANS)


async def waiting(store: TaskStore) -> list[int]:
    """Return the tasks whose spans wait, and leave them to others."""
    return sorted(ended.task.task_id for ended in await store.claim_spans(100, 0.0))


async def test_ended_task(spans: TaskStore) -> None:
    """What waits is the task as it ended, with its moves from state to state in order, and nothing that is large."""
    large = replace(TRACED, input=b'{"args": []}', metadata=b'{"why": "asked"}')
    await start_tasks(spans, "worker", [1, 2], large)
    assert await waiting(spans) == []

    await spans.apply("worker", operations(1, HALF, CHUNK, DONE, first=3))

    (ended,) = await spans.claim_spans(10, 60)
    task = await spans.get(1)
    assert None not in (task.input, task.metadata, task.result)
    assert ended.task == replace(task, input=None, metadata=None, result=None)
    moves = [event for event in await spans.events(1, 0, 10) if event.kind is EventKind.STATE_CHANGED]
    assert ended.events == [replace(move, result=None) for move in moves]


async def test_every_way_to_end(spans: TaskStore, clock: FakeClock) -> None:
    """However a task ends, its spans wait; a task that runs again has not ended."""
    worker = await register(spans, "worker", "agent", "research")
    for task_id in range(1, 8):
        await spans.create(submission(task_id, trace_context=SAMPLED, max_attempts=2 if task_id == 7 else 1))
        clock.move(0.001)
    await spans.request_cancel(1)
    await spans.create(submission(8, "cook", trace_context=SAMPLED, queue_timeout=timedelta(seconds=1)))
    await spans.claim("worker", worker.epoch, 10)
    await spans.apply(
        "worker", [*operations(2, DONE), *operations(3, FAILED, first=2), *operations(7, FAILED, first=3)]
    )
    await spans.request_cancel(4, force=True, grace=timedelta(seconds=1))
    clock.move(2)
    await spans.end_overdue(10)
    assert await waiting(spans) == [1, 2, 3, 4, 8]

    await spans.lose_worker("worker", worker.epoch, "gone")

    assert await waiting(spans) == [1, 2, 3, 4, 5, 6, 8]
    assert TaskState.SUBMITTED is (await spans.get(7)).state


@pytest.mark.parametrize("traceparent", ["", "nonsense", SAMPLED.traceparent[:-1] + "0"])
async def test_not_sampled(spans: TaskStore, traceparent: str) -> None:
    """A task without a sampled trace has no span, and no row."""
    await start_tasks(spans, "worker", [1], Start("research", trace_context=TraceContext(traceparent)))
    await spans.apply("worker", operations(1, DONE, first=2))

    assert await waiting(spans) == []


async def test_nobody_exports(store: TaskStore) -> None:
    """Where the policy says that nobody exports spans no row is written."""
    await start_tasks(store, "worker", [1], TRACED)
    await store.apply("worker", operations(1, DONE, first=2))

    assert await waiting(store) == []


async def test_claimed_by_one(backend: Backend, clock: FakeClock) -> None:
    """Of several stores one gets a task's spans; when it does not say that it is done, another one does later."""
    stores = [await backend.open(SPANS) for _ in range(3)]
    await start_tasks(stores[0], "worker", range(1, 31), TRACED)
    for task_id in range(1, 31):
        await stores[0].apply("worker", operations(task_id, DONE, first=30 + task_id))

    claims = await asyncio.gather(*(store.claim_spans(4, 60) for store in stores * 4))

    claimed = [ended.task.task_id for claim in claims for ended in claim]
    assert sorted(claimed) == list(range(1, 31))
    await stores[1].drop_spans(range(1, 29))
    clock.move(59.999)
    assert await stores[1].claim_spans(100, 60) == []
    clock.move(0.001)
    assert await waiting(stores[1]) == [29, 30]


async def test_dropped(spans: TaskStore) -> None:
    """What is exported is off the outbox for good; dropping it again is no error."""
    await start_tasks(spans, "worker", [1, 2], TRACED)
    await spans.apply("worker", [*operations(1, DONE, first=3), *operations(2, DONE, first=4)])

    for task_ids in ([1], [1, 99], []):
        await spans.drop_spans(task_ids)

    assert await waiting(spans) == [2]


async def test_deleted_task(spans: TaskStore) -> None:
    """A task that is deleted is off the outbox too."""
    await start_tasks(spans, "worker", [1], TRACED)
    await spans.apply("worker", operations(1, DONE, first=2))

    await spans.delete(1)

    assert await waiting(spans) == []


async def test_own_for_a_while(backend: Backend, clock: FakeClock) -> None:
    """What a process makes of its memory nobody else gets before its time; what takes more than that, anybody."""
    ours = await backend.open(replace(SPANS, own_spans=timedelta(seconds=15)))
    theirs = await backend.open(SPANS)
    await start_tasks(ours, "worker", [1, 2], TRACED)
    await ours.apply("worker", operations(3, replace(TRACED, max_attempts=2), first=3))
    for task_id in (1, 3):
        await ours.apply("worker", operations(task_id, DONE, first=3 + task_id))
    clock.move(1)
    await ours.apply("worker", operations(2, DONE, first=7))

    assert [await waiting(store) for store in (ours, theirs)] == [[3], [3]]
    clock.move(13.999)
    assert await waiting(theirs) == [3]
    clock.move(0.001)
    assert await waiting(theirs) == [1, 3]
    clock.move(1)
    await ours.drop_spans([1])
    assert await waiting(theirs) == [2, 3]
