"""What goes into a store comes out of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from outlast.core.event import Change
from outlast.core.operation import Start
from outlast.core.state import TaskState
from outlast.core.task import Task, TraceContext
from outlastd.stores.port import TaskFilter, TaskStore

from .clock import FakeClock
from .making import AT, CANCELED, CHUNK, DONE, FAILED, HALF, START, operations, register, submission

EVERYTHING = Start(
    task_type="research",
    session_id="session-1",
    request_id="request-1",
    metadata=b'{"topic": "tides"}',
    input=b'{"args": ["tides"], "kwargs": {}}',
    trace_context=TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1"),
    labels={"team": "blue", "ünï": "çødé"},
    max_attempts=3,
    timeout=timedelta(days=2, microseconds=1),
    backoff=timedelta(seconds=3, microseconds=7),
    manual=True,
)


@pytest.mark.parametrize("end", [DONE, FAILED, CANCELED])
@pytest.mark.parametrize("start", [START, EVERYTHING])
async def test_task_of_a_worker(store: TaskStore, start: Start, end: object) -> None:
    """A task reads as its newest change says, field by field, and so do its events."""
    await register(store, "worker")

    applied = await store.apply("worker", operations(7, start, HALF, CHUNK, end))  # type: ignore[arg-type]

    assert not applied.refusals
    assert applied.changes[-1].task == await store.get(7)
    assert [change.event for change in applied.changes] == await store.events(7, 0, 100)


async def test_every_field(store: TaskStore, clock: FakeClock) -> None:
    """The fields of the operations, of the worker and of the clocks are all in the record."""
    worker = await register(store, "worker", lock_path="/run/worker.lock")
    created_at = clock.time
    await store.apply("worker", operations(7, EVERYTHING, HALF))
    cancel_requested_at = clock.move()
    await store.request_cancel(7)
    updated_at = clock.move()
    await store.apply("worker", operations(7, DONE, first=3))

    expected = Task(
        task_id=7,
        task_type="research",
        agent="agent",
        state=TaskState.COMPLETED,
        session_id="session-1",
        request_id="request-1",
        worker_id="worker",
        epoch=worker.epoch,
        created_by=("worker", 1),
        attempt=1,
        max_attempts=3,
        generation=4,
        progress=HALF.progress,
        result=DONE.result,
        input=EVERYTHING.input,
        metadata=EVERYTHING.metadata,
        labels=EVERYTHING.labels,
        trace_context=EVERYTHING.trace_context,
        timeout=EVERYTHING.timeout,
        backoff=EVERYTHING.backoff,
        manual=True,
        created_at=created_at,
        updated_at=updated_at,
        cancel_requested_at=cancel_requested_at,
        started_at=AT,
        ended_at=AT,
        expires_at=updated_at + timedelta(days=7),
    )
    assert expected == await store.get(7)


async def test_created_task(store: TaskStore, clock: FakeClock) -> None:
    """A task that was submitted keeps what the request said."""
    task = submission(
        8,
        session_id="session-1",
        request_id="request-1",
        input=b'{"args": []}',
        labels={"team": "blue"},
        trace_context=TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        idempotency_key="once",
        max_attempts=2,
        timeout=timedelta(seconds=90),
        backoff=timedelta(milliseconds=1),
        queue_timeout=timedelta(hours=1),
    )

    change = await store.create(task)

    expected = replace(
        task,
        generation=1,
        state_reason="NO_WORKER",
        created_at=clock.time,
        updated_at=clock.time,
        queue_until=clock.time + timedelta(hours=1),
    )
    assert isinstance(change, Change)
    assert expected == change.task == await store.get(8)
    assert [change.event] == await store.events(8, 0, 100)


async def test_basic_view(store: TaskStore) -> None:
    """A list leaves out what may be large, unless it is asked for."""
    await register(store, "worker")
    applied = await store.apply("worker", operations(7, EVERYTHING, HALF, DONE))
    task = applied.changes[-1].task

    assert [replace(task, result=None, input=None, metadata=None)] == await store.list(TaskFilter(), 10)
    assert [task] == await store.list(TaskFilter(), 10, full=True)


async def test_progress_without_fraction(store: TaskStore) -> None:
    """Progress that is only words is not progress of zero."""
    await register(store, "worker")
    words = replace(HALF, progress=replace(HALF.progress, fraction=None))

    await store.apply("worker", operations(7, START, words))

    assert words.progress == (await store.get(7)).progress
    assert words.progress == (await store.events(7, 1, 1))[0].progress
