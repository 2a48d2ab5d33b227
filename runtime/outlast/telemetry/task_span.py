"""The spans of a task: a pure function of its record, so that a repeat is byte for byte the same (promise 8).

Every span lasts a microsecond at least: Jaeger takes one that does not for one with a broken clock, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from outlast.core.event import TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError
from outlast.telemetry.attempts import Attempt, attempts_of
from outlast.telemetry.propagation import Traceparent, attempt_span_id, parse_traceparent, started_span_id

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Status

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The shortest time that a span takes; a record counts no finer.
_SHORTEST = timedelta(microseconds=1)
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
    trace = parse_traceparent(task.trace_context.traceparent)
    if trace is None or not trace.sampled:
        return
    if _plain(task):
        from outlast.telemetry.recorded_span import RecordedSpan

        yield RecordedSpan(task, trace, resource, lambda: next(_written_out(task, trace, (), resource)))
        return
    yield from _written_out(task, trace, events, resource)


def plain_times(task: Task) -> tuple[int, int]:
    """Return when the span of a task of one attempt begins and ends, in nanoseconds since the Unix epoch."""
    began, ended = _times(task, ())
    return _nanoseconds(began), _nanoseconds(ended)


def own_attributes(task: Task) -> dict[str, str]:
    """Return those attributes of a task's span that hardly two tasks have alike; empty ones are not in it."""
    return {
        "session.id": task.session_id,
        "outlast.request_id": task.request_id,
        # As text: JSON in a browser rounds integers beyond 2**53.
        "outlast.task.id": str(task.task_id),
        "outlast.task.worker_id": task.worker_id,
    }


def _plain(task: Task) -> bool:
    """Whether the task has one span, and one that differs from others of its kind by ids and times only."""
    return task.max_attempts == 1 and task.state is not TaskState.FAILED and not task.trace_context.tracestate


def _written_out(
    task: Task, trace: Traceparent, events: Iterable[TaskEvent], resource: Resource
) -> Iterator[ReadableSpan]:
    from outlast.telemetry.sdk_span import make_context

    attempts = attempts_of(task, events) if task.max_attempts > 1 else []
    began, ended = _times(task, attempts)
    own = make_context(trace, task.task_id, task.trace_context.tracestate)
    yield _span(
        f"async_task {task.task_type}",
        own,
        _parent(trace),
        resource,
        _attributes(task),
        began,
        ended,
        _status(task.state, task.error, task.state_reason),
    )
    # Events are timed by the store's clock, the record by its worker's: none leaves its place for that.
    earliest = began
    for attempt in attempts:
        begin = min(max(attempt.began_at, earliest), ended - _SHORTEST)
        earliest = min(max(attempt.ended_at, begin + _SHORTEST), ended)
        yield _span(
            f"attempt {attempt.number}",
            make_context(trace, attempt_span_id(task.task_id, attempt.number), task.trace_context.tracestate),
            own,
            resource,
            _attempt_attributes(task, attempt),
            begin,
            earliest,
            _status(attempt.state, attempt.error, attempt.state_reason),
        )


def started_spans(task: Task, resource: Resource) -> Iterator[ReadableSpan]:
    """Yield the span by which a task at work is found: its own comes when it has ended. None when it is not sampled.

    It is a sibling of the task's span, so that nothing is missing above it meanwhile. Where the task begins its trace
    it is the task's child: that trace is incomplete up to the task's end, and has one root from then on.
    """
    from outlast.telemetry.sdk_span import make_context, unset

    trace = parse_traceparent(task.trace_context.traceparent)
    if trace is None or not trace.sampled:
        return
    tracestate = task.trace_context.tracestate
    # At the attempt's very begin: inside the invocation that started it, however short that was.
    began = task.started_at or task.updated_at or _UNIX_EPOCH
    yield _span(
        f"async_task {task.task_type} started",
        make_context(trace, started_span_id(task.task_id, task.attempt), tracestate),
        _parent(trace) or make_context(trace, task.task_id, tracestate, remote=True),
        resource,
        _present({**_common_attributes(task), "outlast.task.attempt": task.attempt}),
        began,
        began + _SHORTEST,
        unset(),
    )


def task_resource(resource: Resource, service_name: str | None) -> Resource:
    """Return the resource of a task's spans: the same from whichever process exports them.

    ``service_name`` replaces the one in ``resource``; None leaves it.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME

    from outlast.telemetry.sdk_span import SharedResource

    attributes = {name: value for name, value in resource.attributes.items() if not name.startswith(_OF_THE_PROCESS)}
    if service_name is not None:
        attributes[SERVICE_NAME] = service_name
    return SharedResource(attributes, resource.schema_url)


def _times(task: Task, attempts: Sequence[Attempt]) -> tuple[datetime, datetime]:
    ended = task.ended_at or task.updated_at or _UNIX_EPOCH
    began = min(_began(task, attempts) or ended, ended)
    return began, max(ended, began + _SHORTEST)


def _began(task: Task, attempts: Sequence[Attempt]) -> datetime | None:
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
        "outlast.task.worker_id": own_attributes(task)["outlast.task.worker_id"],
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
    own = own_attributes(task)
    return {
        "session.id": own["session.id"],
        "outlast.agent": task.agent,
        "outlast.request_id": own["outlast.request_id"],
        "outlast.task.id": own["outlast.task.id"],
        "outlast.task.type": task.task_type,
    }


def _with_error(attributes: dict[str, str | int], state: TaskState, error: TaskError | None) -> dict[str, str | int]:
    if state is TaskState.FAILED and error is not None:
        attributes["error.type"] = error.type
    return _present(attributes)


def _present(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {name: value for name, value in attributes.items() if value != ""}


def _status(state: TaskState, error: TaskError | None, reason: str) -> Status:
    """ERROR for a failure only: a cancel is somebody's wish (OpenTelemetry: leave UNSET what is no error)."""
    from outlast.telemetry import sdk_span

    match state:
        case TaskState.FAILED:
            return sdk_span.failed(error.message if error else reason)
        case TaskState.COMPLETED:
            return sdk_span.well()
        case _:
            return sdk_span.unset()


def _span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    resource: Resource,
    attributes: dict[str, str | int],
    began: datetime,
    ended: datetime,
    status: Status,
) -> ReadableSpan:
    from outlast.telemetry.sdk_span import make_span

    return make_span(name, context, parent, resource, attributes, _nanoseconds(began), _nanoseconds(ended), status)


def _parent(trace: Traceparent) -> SpanContext | None:
    """Return the span above a task's; None where the task begins the trace."""
    from outlast.telemetry.sdk_span import make_context

    return None if trace.root else make_context(trace, trace.parent_id, remote=True)


def _nanoseconds(at: datetime) -> int:
    return (at - _UNIX_EPOCH) // _SHORTEST * 1000
