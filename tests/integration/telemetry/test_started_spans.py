"""A task that runs for longer than a moment is found in a trace before it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TraceContext
from outlast.telemetry import tracing
from outlast.telemetry.propagation import started_span_id
from outlastd.task_manager import started_spans
from outlastd.task_manager.started_spans import StartedSpans

from ...jaeger_rules import broken_rules
from .collector import Collector

CALLER = "b7ad6b7169203331"
TRACE = TraceContext(f"00-0af7651916cd43dd8448eb211c80319c-{CALLER}-01")


@pytest.fixture(autouse=True)
async def exporting(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export to the collector, and wait for nothing that a test would have to wait for too."""
    monkeypatch.setattr(started_spans, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(started_spans, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(started_spans, "RETRY_SECONDS", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    assert await asyncio.to_thread(tracing.set_up, "agent")


@asynccontextmanager
async def at_work() -> AsyncIterator[StartedSpans]:
    """Have it run, and stop it as a server does."""
    spans = StartedSpans()
    running = asyncio.create_task(spans.run())
    try:
        yield spans
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def change(task_id: int, state: TaskState, *, attempt: int = 1, kind: EventKind = EventKind.STATE_CHANGED) -> Change:
    """Return what is committed when a task begins, ends, or goes on."""
    now = datetime.now(UTC)
    task = Task(
        *(task_id, "research"),
        agent="agent",
        state=state,
        session_id="s-1",
        attempt=attempt,
        input=b"{}",
        trace_context=TRACE,
        started_at=now,
    )
    return Change(task, TaskEvent(task_id, 1, kind, now, state, attempt=attempt))


async def test_only_what_runs_for_longer_than_a_moment_is_told_of(collector: Collector) -> None:
    """A short task has no such span, nor has what happens to a task meanwhile; a long one has one for each attempt."""
    async with at_work() as spans:
        for task_id in (1, 2, 3):
            spans.note(change(task_id, TaskState.WORKING))
        spans.note(change(1, TaskState.COMPLETED))
        spans.note(change(2, TaskState.WORKING, kind=EventKind.PROGRESSED))
        spans.note(change(3, TaskState.SUBMITTED))
        spans.note(change(3, TaskState.WORKING, attempt=2))
        await collector.wait_spans(2)
        spans.note(change(2, TaskState.SUBMITTED))
        spans.note(change(2, TaskState.WORKING, attempt=2))
        await collector.wait_spans(3)

    received = [int.from_bytes(span.span_id) for _, span in collector.received]
    assert sorted(received) == sorted(started_span_id(*found) for found in ((2, 1), (3, 2), (2, 2)))
    assert {(service, span.name) for service, span in collector.received} == {("agent", "async_task research started")}
    assert broken_rules(collector.exported, {CALLER}) == []


async def test_a_collector_that_was_away_is_told_later(collector: Collector) -> None:
    """What still runs then is told of once; what has ended meanwhile is not."""
    collector.refuses = True
    async with at_work() as spans:
        spans.note(change(1, TaskState.WORKING))
        spans.note(change(2, TaskState.WORKING))
        await collector.wait_messages(2)
        spans.note(change(2, TaskState.FAILED))
        collector.refuses = False
        await collector.wait_spans(1)
        spans.note(change(3, TaskState.WORKING))
        await collector.wait_spans(2)

    assert len(collector.received) in (2, 3), "that of 2 may have been on its way"
    assert {int.from_bytes(span.span_id) for _, span in collector.received} >= {
        started_span_id(1, 1),
        started_span_id(3, 1),
    }


async def test_no_more_than_so_many_wait(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a bound: what comes when it is reached is found when it has ended."""
    monkeypatch.setattr(started_spans, "MAX_WAITING", 2)
    async with at_work() as spans:
        for task_id in (1, 2, 3):
            spans.note(change(task_id, TaskState.WORKING))
        spans.note(change(1, TaskState.COMPLETED))
        spans.note(change(4, TaskState.WORKING))
        await collector.wait_spans(2)

    received = {int.from_bytes(span.span_id) for _, span in collector.received}
    assert received == {started_span_id(2, 1), started_span_id(4, 1)}
