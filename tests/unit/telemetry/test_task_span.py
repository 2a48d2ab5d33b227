"""The span of a task is a pure function of its record (promise 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from outlast.core.state import StateReason, TaskState
from outlast.core.task import NO_TRACE, Task, TaskError, TraceContext
from outlast.telemetry.propagation import root_trace_context
from outlast.telemetry.task_span import task_resource, task_span

RESOURCE = Resource({"service.name": "research"})


def span_of(task: Task) -> ReadableSpan:
    """Return the task's span, which there has to be."""
    span = task_span(task, RESOURCE)
    assert span is not None
    return span


def test_a_span_tells_the_record(task: Task) -> None:
    """Name, ids, times and attributes are those of the task."""
    span = span_of(replace(task, state=TaskState.COMPLETED))

    assert span.context is not None
    assert span.parent is not None
    assert (span.name, span.kind) == ("async_task background_processing", SpanKind.INTERNAL)
    assert (0x0AF7651916CD43DD8448EB211C80319C, task.task_id) == (span.context.trace_id, span.context.span_id)
    assert span.parent.span_id == 0xB7AD6B7169203331
    assert dict(span.context.trace_state) == {"vendor": "1"}
    assert (span.start_time, (span.end_time or 0) - (span.start_time or 0)) == (1768225478_000001_000, 10_004_000_000)
    assert dict(span.attributes or {}) == {
        "session.id": "s-1",
        "outlast.agent": "research",
        "outlast.request_id": "r-1",
        "outlast.task.id": "4680601251139015056",
        "outlast.task.type": "background_processing",
        "outlast.task.state": "COMPLETED",
        "outlast.task.attempt": 1,
        "outlast.task.worker_id": "w-1",
    }


def test_a_repeat_is_byte_for_byte_the_same(task: Task) -> None:
    """Another replica that exports the span again sends the same bytes."""
    ended = replace(task, state=TaskState.FAILED, error=TaskError(2, "boom", "ValueError"))
    here = task_resource(RESOURCE.merge(Resource({"service.instance.id": "1", "process.pid": 1})), "research")
    there = task_resource(RESOURCE.merge(Resource({"service.instance.id": "2", "host.name": "b"})), "research")
    one, two = task_span(ended, here), task_span(replace(ended), there)

    assert one is not None
    assert two is not None
    assert encode_spans([one]).SerializeToString() == encode_spans([two]).SerializeToString()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (TaskState.COMPLETED, StatusCode.OK),
        (TaskState.FAILED, StatusCode.ERROR),
        (TaskState.CANCELED, StatusCode.UNSET),
        (TaskState.REJECTED, StatusCode.UNSET),
    ],
)
def test_only_a_failure_is_an_error(task: Task, state: TaskState, code: StatusCode) -> None:
    """A cancel is somebody's wish and no error; the state says what it was."""
    error = None if state is TaskState.COMPLETED else TaskError(1, "because", "Why")
    span = span_of(replace(task, state=state, error=error))

    assert code == span.status.status_code
    assert span.attributes is not None
    assert state.name == span.attributes["outlast.task.state"]
    assert ("error.type" in span.attributes) == (state is TaskState.FAILED)


def test_a_lost_task_says_why(task: Task) -> None:
    """The reason and the message of a lost worker are in the span."""
    error = TaskError(10, "its worker is gone", StateReason.WORKER_LOST)
    span = span_of(replace(task, state=TaskState.FAILED, state_reason=StateReason.WORKER_LOST, error=error))

    assert span.attributes is not None
    assert span.status.description == "its worker is gone"
    assert (
        span.attributes["outlast.task.state_reason"],
        span.attributes["error.type"],
    ) == ("WORKER_LOST", "WORKER_LOST")


def test_a_task_that_began_its_trace_has_no_parent(task: Task) -> None:
    """The parent id that says "none" is no parent in the span."""
    root = root_trace_context(0x0AF7651916CD43DD8448EB211C80319C, sampled=True)

    assert span_of(replace(task, trace_context=root)).parent is None


@pytest.mark.parametrize("trace", [NO_TRACE, TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")])
def test_an_unsampled_task_has_no_span(task: Task, trace: TraceContext) -> None:
    """Without a trace, or with one that is not sampled, nothing is exported."""
    assert task_span(replace(task, trace_context=trace), RESOURCE) is None


def test_a_task_canceled_before_its_start_has_lived_since_it_was_recorded(task: Task) -> None:
    """A span has a start even where no worker ever had the task."""
    span = span_of(replace(task, state=TaskState.CANCELED, started_at=None))

    assert (span.end_time or 0) - (span.start_time or 0) == 10_004_000_000
