"""Spans reach a collector that is not written in Python, by both protocols, and come out of it as they went in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError, TraceContext
from outlast.telemetry import tracing
from outlast.telemetry.invocation_span import InvocationSpan, invocation_span
from outlast.telemetry.task_span import started_spans, task_resource, task_spans

from ... import rotel
from ...jaeger_rules import Exported, broken_rules, spans_in
from .collector import Collector

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="rotel has no wheel for this Python")

CALLER = "b7ad6b7169203331"
HEADERS = {"Traceparent": f"00-0af7651916cd43dd8448eb211c80319c-{CALLER}-01", "Tracestate": "vendor=1"}


def spans_of_a_task(parent: TraceContext, active: tracing.Tracing) -> Iterator[ReadableSpan]:
    """Yield what is exported of a task that failed and then succeeded: it began, it ended, and its attempts."""
    now = datetime.now(UTC)
    task = Task(
        7,
        "research ☃",
        agent="agent",
        state=TaskState.COMPLETED,
        session_id="s" * 100,
        attempt=2,
        max_attempts=3,
        trace_context=parent,
        started_at=now + timedelta(seconds=2),
        ended_at=now + timedelta(seconds=3),
    )
    states = (TaskState.WORKING, TaskState.SUBMITTED, TaskState.WORKING, TaskState.COMPLETED)
    events = [
        TaskEvent(
            *(7, number + 2, EventKind.STATE_CHANGED, now + timedelta(seconds=number), state),
            attempt=1 + number // 2,
            error=TaskError(2, "not today\n☂", "OSError") if state is TaskState.SUBMITTED else None,
        )
        for number, state in enumerate(states)
    ]
    resource = task_resource(active.resource, active.service_of(task))
    yield from started_spans(task, resource)
    yield from task_spans(task, events, resource)


def in_the_handler(invocation: InvocationSpan) -> None:
    """Open a span of the program's own."""
    invocation.make_current()
    with trace.get_tracer("program").start_as_current_span("in the handler") as span:
        span.add_event("half-way", {"of": ["all", "there", "is"]})


def written(exported: Iterable[Exported]) -> list[tuple[bytes, bytes]]:
    """Return spans, with what they are exported under, as bytes."""
    return sorted(
        (resource.SerializeToString(deterministic=True), span.SerializeToString(deterministic=True))
        for resource, span in exported
    )


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_what_comes_out_is_what_went_in(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """Every byte of the spans of an invocation, of the program in it and of its task, and the trace is whole."""
    sent = InMemorySpanExporter()
    async with rotel.running(collector.endpoint) as between:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", between.endpoint(protocol))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        assert await asyncio.to_thread(tracing.set_up, "agent")
        active = tracing.active()
        assert active is not None
        active.provider.add_span_processor(SimpleSpanProcessor(sent))
        with invocation_span(HEADERS, session_id="s-1", request_id="r-1") as invocation:
            copy_context().run(in_the_handler, invocation)
            invocation.set_status(200)
        of_task = list(spans_of_a_task(invocation.trace_context, active))
        assert await asyncio.wrap_future(active.delivery.begin(lambda: of_task))
        assert await asyncio.to_thread(tracing.shutdown, 10)
        went_in = [*sent.get_finished_spans(), *of_task]
        await collector.wait_spans(len(went_in))

    assert len(went_in) == 6
    assert written(collector.exported) == written(spans_in(encode_spans(went_in)))
    assert broken_rules(collector.exported, {CALLER}) == []
