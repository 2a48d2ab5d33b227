"""The spans of a task: a pure function of its record, so that a repeat is byte for byte the same (promise 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from outlast.core.event import TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError
from outlast.telemetry.attempts import Attempt, attempts_of
from outlast.telemetry.propagation import Traceparent, attempt_span_id, parse_traceparent
from outlast.telemetry.tracing import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Status

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Resource attributes of the process, not of the agent: another replica that repeats a span has others.
_OF_THE_PROCESS = (
    "service.instance.",
    "process.",
    "host.",
    "os.",
    "container.",
    "k8s.pod.",
    "k8s.node.",
    "faas.instance",
)


def task_spans(task: Task, events: Iterable[TaskEvent], resource: Resource) -> Iterator[ReadableSpan]:
    """Yield the span of a terminal task, with the task id as its id; nothing when its trace is not sampled.

    Where it may have several attempts, one for each that began follows as its child, and the task's span begins with
    the first of them. ``events`` are its STATE_CHANGED events, in order.
    """
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanKind

    trace = parse_traceparent(task.trace_context.traceparent)
    if trace is None or not trace.sampled:
        return
    attempts = attempts_of(task, events) if task.max_attempts > 1 else []
    ended = task.ended_at or task.updated_at or _UNIX_EPOCH
    began = min(_began(task, attempts) or ended, ended)
    own = _span_context(trace, task.task_id, task.trace_context.tracestate)
    scope = InstrumentationScope(SCOPE)
    yield ReadableSpan(
        name=f"async_task {task.task_type}",
        context=own,
        parent=None if trace.root else _span_context(trace, trace.parent_id, "", remote=True),
        resource=resource,
        attributes=_attributes(task),
        kind=SpanKind.INTERNAL,
        status=_status(task.state, task.error, task.state_reason),
        start_time=_nanoseconds(began),
        end_time=_nanoseconds(ended),
        instrumentation_scope=scope,
    )
    # Events are timed by the store's clock, the record by its worker's: none leaves its place for that.
    earliest = began
    for attempt in attempts:
        begin = min(max(attempt.began_at, earliest), ended)
        earliest = min(max(attempt.ended_at, begin), ended)
        yield ReadableSpan(
            name=f"attempt {attempt.number}",
            context=_span_context(trace, attempt_span_id(task.task_id, attempt.number), task.trace_context.tracestate),
            parent=own,
            resource=resource,
            attributes=_attempt_attributes(task, attempt),
            kind=SpanKind.INTERNAL,
            status=_status(attempt.state, attempt.error, attempt.state_reason),
            start_time=_nanoseconds(begin),
            end_time=_nanoseconds(earliest),
            instrumentation_scope=scope,
        )


def task_resource(resource: Resource, service_name: str | None) -> Resource:
    """Return the resource of a task's spans: the same from whichever process exports them.

    ``service_name`` replaces the one in ``resource``; None leaves it.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    attributes = {name: value for name, value in resource.attributes.items() if not name.startswith(_OF_THE_PROCESS)}
    if service_name is not None:
        attributes[SERVICE_NAME] = service_name
    return Resource(attributes, resource.schema_url)


def _began(task: Task, attempts: list[Attempt]) -> datetime | None:
    if len(attempts) > 1:
        return attempts[0].began_at
    # A task that ended before it started has lived since it was recorded.
    return task.started_at or task.created_at


def _attributes(task: Task) -> dict[str, str | int]:
    attributes = {
        **_common_attributes(task),
        "outlast.task.state": task.state.name,
        "outlast.task.state_reason": task.state_reason,
        "outlast.task.attempt": task.attempt,
        "outlast.task.worker_id": task.worker_id,
    }
    if task.max_attempts > 1:
        attributes["outlast.task.max_attempts"] = task.max_attempts
    return _with_error(attributes, task.state, task.error)


def _attempt_attributes(task: Task, attempt: Attempt) -> dict[str, str | int]:
    attributes = {
        **_common_attributes(task),
        "outlast.task.state_reason": attempt.state_reason,
        "outlast.task.attempt": attempt.number,
    }
    return _with_error(attributes, attempt.state, attempt.error)


def _common_attributes(task: Task) -> dict[str, str | int]:
    return {
        "session.id": task.session_id,
        "outlast.agent": task.agent,
        "outlast.request_id": task.request_id,
        # As text: JSON in a browser rounds integers beyond 2**53.
        "outlast.task.id": str(task.task_id),
        "outlast.task.type": task.task_type,
    }


def _with_error(attributes: dict[str, str | int], state: TaskState, error: TaskError | None) -> dict[str, str | int]:
    if state is TaskState.FAILED and error is not None:
        attributes["error.type"] = error.type
    return {name: value for name, value in attributes.items() if value != ""}


def _status(state: TaskState, error: TaskError | None, reason: str) -> Status:
    """ERROR for a failure only: a cancel is somebody's wish (OpenTelemetry: leave UNSET what is no error)."""
    from opentelemetry.trace import Status, StatusCode

    match state:
        case TaskState.FAILED:
            return Status(StatusCode.ERROR, error.message if error else reason)
        case TaskState.COMPLETED:
            return Status(StatusCode.OK)
        case _:
            return Status(StatusCode.UNSET)


def _span_context(trace: Traceparent, span_id: int, tracestate: str, *, remote: bool = False) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    return SpanContext(
        trace.trace_id,
        span_id,
        is_remote=remote,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([tracestate]),
    )


def _nanoseconds(at: datetime) -> int:
    return (at - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000
