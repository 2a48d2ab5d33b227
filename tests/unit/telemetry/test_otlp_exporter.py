"""OTLP that is made straight of the records of tasks is what the library would have made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TaskError, TraceContext
from outlast.telemetry import otlp_exporter
from outlast.telemetry.otlp_exporter import RecordEncoder
from outlast.telemetry.propagation import root_trace_context
from outlast.telemetry.recorded_span import RecordedSpan
from outlast.telemetry.task_span import task_resource, task_spans

from .conftest import STARTED

RESOURCE = Resource({"service.name": "research", "process.pid": 7, "deployment": "test"}, "https://schema")


def spans_of(tasks: Iterable[Task], events: Sequence[TaskEvent] = ()) -> list[ReadableSpan]:
    """Return the spans of tasks, each under its agent's resource."""
    resources = {agent: task_resource(RESOURCE, agent) for agent in ("research", "other")}
    return [span for task in tasks for span in task_spans(task, events, resources[task.agent])]


def others(task: Task) -> list[Task]:
    """Return tasks that differ in all that their spans tell."""
    ended = replace(
        task,
        agent="research",
        state=TaskState.COMPLETED,
        worker_id="w" * 16,
        trace_context=TraceContext(task.trace_context.traceparent),
        started_at=STARTED + timedelta(seconds=1),
        ended_at=STARTED + timedelta(seconds=3),
    )
    return [
        ended,
        replace(ended, task_id=2**62, session_id="another", request_id="☃" * 64, worker_id="v" * 16),
        replace(ended, task_id=8, started_at=None, ended_at=STARTED),
        replace(ended, task_id=9, agent="other", trace_context=root_trace_context(5, sampled=True)),
        replace(ended, task_id=10, trace_context=TraceContext(f"00-{3:032x}-{4:016x}-03")),
        replace(ended, task_id=11, session_id="", worker_id=""),
        replace(ended, task_id=12, request_id=""),
        replace(ended, task_id=13, state=TaskState.CANCELED, state_reason=StateReason.CANCEL_REQUESTED),
        replace(ended, task_id=14, state=TaskState.FAILED, error=TaskError(2, "boom", "ValueError")),
        replace(ended, task_id=15, attempt=2, max_attempts=2),
        replace(ended, task_id=16, trace_context=replace(ended.trace_context, tracestate="vendor=1")),
        replace(ended, task_id=17, task_type="☃", agent="other"),
        replace(ended, task_id=18, attempt=0),
    ]


@pytest.mark.parametrize("kinds", [1, 256])
def test_the_message_is_the_library_s(task: Task, kinds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the byte, whatever was encoded before, and though kinds of spans are forgotten."""
    monkeypatch.setattr(otlp_exporter, "MAX_KINDS", kinds)
    tasks = others(task)
    moves = [
        TaskEvent(15, 1, EventKind.STATE_CHANGED, STARTED, TaskState.WORKING, attempt=2),
        TaskEvent(15, 2, EventKind.STATE_CHANGED, STARTED, TaskState.COMPLETED, attempt=2),
    ]
    encoder = RecordEncoder()

    for some in (tasks, tasks[::-1], tasks[3:] * 2):
        message = encoder.request(spans_of(some, moves))
        assert message.SerializeToString() == encode_spans(spans_of(some, moves)).SerializeToString()


def test_a_span_that_nobody_has_looked_at_is_as_any_other(task: Task) -> None:
    """It is written out when it is asked for something, and has nothing that other spans have not."""
    [span] = spans_of([others(task)[0]])

    assert isinstance(span, RecordedSpan)
    assert not hasattr(span, "colour")
    assert span.to_json() == spans_of([others(task)[0]])[0].to_json()


def test_what_somebody_has_set_on_a_span_stays(task: Task) -> None:
    """A processor of the program's own may hide a name before anything of the span is read."""
    [span] = spans_of([others(task)[0]])

    span._name = "hidden"

    assert deepcopy(span).name == "hidden"
    assert span.attributes
    assert span.name == "hidden"


def test_a_span_can_be_copied(task: Task) -> None:
    """A processor of the program's own may change a copy of all that a span has, and leave the span alone."""
    [span] = spans_of([others(task)[0]])

    copied = deepcopy(span)

    assert copied.to_json() == span.to_json()
    assert copied.resource == span.resource
