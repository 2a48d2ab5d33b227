"""The span of a task: a pure function of its record, so that a repeat is byte for byte the same (promise 8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.telemetry import tracing
from outlast.telemetry.propagation import parse_traceparent

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Resource attributes of the process, not of the agent: another replica that repeats a span has others.
_OF_THE_PROCESS = ("service.instance.", "process.", "host.")


def export(task: Task) -> None:
    """Hand the span of a terminal task to the exporter: nothing with tracing off or its trace not sampled.

    Never blocks.
    """
    active = tracing.active()
    if active is not None and (span := task_span(task, task_resource(active.resource, active.service_of(task)))):
        active.export(span)


def task_span(task: Task, resource: Resource) -> ReadableSpan | None:
    """Return the span of a terminal task, with the task id as its id; None when its trace is not sampled."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

    trace = parse_traceparent(task.trace_context.traceparent)
    if trace is None or not trace.sampled:
        return None
    flags = TraceFlags(trace.flags)
    state = TraceState.from_header([task.trace_context.tracestate])
    ended = task.ended_at or task.updated_at or _UNIX_EPOCH
    # A task that was canceled before it started has lived since it was recorded.
    started = min(task.started_at or task.created_at or ended, ended)
    return ReadableSpan(
        name=f"async_task {task.task_type}",
        context=SpanContext(trace.trace_id, task.task_id, is_remote=False, trace_flags=flags, trace_state=state),
        parent=None if trace.root else SpanContext(trace.trace_id, trace.parent_id, is_remote=True, trace_flags=flags),
        resource=resource,
        attributes=_attributes(task),
        kind=SpanKind.INTERNAL,
        status=_status(task),
        start_time=_nanoseconds(started),
        end_time=_nanoseconds(ended),
        instrumentation_scope=InstrumentationScope(tracing.SCOPE),
    )


def task_resource(resource: Resource, service_name: str | None) -> Resource:
    """Return the resource of a task's span: the same from whichever process exports it.

    ``service_name`` replaces the one in ``resource``; None leaves it.
    """
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    attributes = {name: value for name, value in resource.attributes.items() if not name.startswith(_OF_THE_PROCESS)}
    if service_name is not None:
        attributes[SERVICE_NAME] = service_name
    return Resource(attributes, resource.schema_url)


def _attributes(task: Task) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "session.id": task.session_id,
        "outlast.agent": task.agent,
        "outlast.request_id": task.request_id,
        # As text: JSON in a browser rounds integers beyond 2**53.
        "outlast.task.id": str(task.task_id),
        "outlast.task.type": task.task_type,
        "outlast.task.state": task.state.name,
        "outlast.task.state_reason": task.state_reason,
        "outlast.task.attempt": task.attempt,
        "outlast.task.worker_id": task.worker_id,
    }
    if task.state is TaskState.FAILED and task.error is not None:
        attributes["error.type"] = task.error.type
    return {name: value for name, value in attributes.items() if value != ""}


def _status(task: Task) -> Status:
    """ERROR for a failure only: a cancel is somebody's wish (OpenTelemetry: leave UNSET what is no error)."""
    from opentelemetry.trace import Status, StatusCode

    match task.state:
        case TaskState.FAILED:
            return Status(StatusCode.ERROR, task.error.message if task.error else task.state_reason)
        case TaskState.COMPLETED:
            return Status(StatusCode.OK)
        case _:
            return Status(StatusCode.UNSET)


def _nanoseconds(at: datetime) -> int:
    return (at - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000
