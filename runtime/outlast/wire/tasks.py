"""Tasks and their events. User JSON is bytes in the domain and text here: whoever made it made it UTF-8."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from outlast.core.errors import InvalidField
from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import NO_TRACE, Progress, Task, TraceContext
from outlast.core.task_id import parse_task_name
from outlast.v1 import task_pb2
from outlast.wire.errors import task_error_from_status, task_error_to_status
from outlast.wire.times import duration_from_proto, duration_to_proto, time_from_proto, time_to_proto

#: By number: faster than to ask the enum.
_STATES = {int(state): state for state in TaskState}

FULL = task_pb2.TASK_VIEW_FULL
BASIC = task_pb2.TASK_VIEW_BASIC


def task_to_proto(task: Task, view: task_pb2.TaskView.ValueType = FULL) -> task_pb2.Task:
    """Return a task's message; without ``result``, ``input`` and ``metadata`` in the BASIC view."""
    full = view != BASIC
    return task_pb2.Task(
        name=task.name,
        task_id=task.task_id,
        task_type=task.task_type,
        state=state_to_proto(task.state),
        state_reason=task.state_reason,
        agent=task.agent,
        session_id=task.session_id,
        request_id=task.request_id,
        worker_id=task.worker_id,
        epoch=task.epoch,
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        generation=task.generation,
        progress=progress_to_proto(task.progress) if task.progress else None,
        result=json_to_text(task.result) if full else "",
        error=task_error_to_status(task.error),
        input=json_to_text(task.input) if full else "",
        metadata=json_to_text(task.metadata) if full else "",
        labels=dict(task.labels),
        trace_context=trace_to_proto(task.trace_context),
        idempotency_key=task.idempotency_key,
        create_time=time_to_proto(task.created_at),
        start_time=time_to_proto(task.started_at),
        update_time=time_to_proto(task.updated_at),
        end_time=time_to_proto(task.ended_at),
        expire_time=time_to_proto(task.expires_at),
        cancel_request_time=time_to_proto(task.cancel_requested_at),
        timeout=duration_to_proto(task.timeout),
        backoff=duration_to_proto(task.backoff),
        queue_timeout=duration_to_proto(task.queue_timeout),
        next_attempt_time=time_to_proto(task.next_attempt_at),
        manual=task.manual,
    )


def task_from_proto(proto: task_pb2.Task) -> Task:
    """Return the task that a message describes; who created it, and until when it may wait, does not travel.

    Raises:
        InvalidField: the message describes no task that a store could hold.
    """

    def time(field: str) -> datetime | None:
        value: Timestamp = getattr(proto, field)
        return time_from_proto(value, field) if proto.HasField(field) else None  # type: ignore[arg-type]

    def duration(field: str) -> timedelta | None:
        value: Duration = getattr(proto, field)
        return duration_from_proto(value, field) if proto.HasField(field) else None  # type: ignore[arg-type]

    return Task(
        task_id=proto.task_id,
        task_type=proto.task_type,
        agent=proto.agent,
        state=state_from_proto(proto.state, "state"),
        state_reason=proto.state_reason,
        session_id=proto.session_id,
        request_id=proto.request_id,
        worker_id=proto.worker_id,
        epoch=proto.epoch,
        attempt=proto.attempt,
        max_attempts=proto.max_attempts,
        generation=proto.generation,
        progress=progress_from_proto(proto.progress, "progress") if proto.HasField("progress") else None,
        result=json_from_text(proto.result),
        error=task_error_from_status(proto.error) if proto.HasField("error") else None,
        input=json_from_text(proto.input),
        metadata=json_from_text(proto.metadata),
        labels=dict(proto.labels),
        trace_context=trace_from_proto(proto.trace_context),
        idempotency_key=proto.idempotency_key,
        timeout=duration("timeout"),
        backoff=duration("backoff"),
        queue_timeout=duration("queue_timeout"),
        manual=proto.manual,
        next_attempt_at=time("next_attempt_time"),
        created_at=time("create_time"),
        started_at=time("start_time"),
        updated_at=time("update_time"),
        ended_at=time("end_time"),
        expires_at=time("expire_time"),
        cancel_requested_at=time("cancel_request_time"),
    )


def event_to_proto(event: TaskEvent) -> task_pb2.TaskEvent:
    """Return an event's message."""
    proto = task_pb2.TaskEvent(
        task=f"tasks/{event.task_id}",
        generation=event.generation,
        kind=task_pb2.TaskEvent.Kind.ValueType(event.kind),
        event_time=time_to_proto(event.at),
        state=state_to_proto(event.state),
        state_reason=event.state_reason,
        attempt=event.attempt,
        progress=progress_to_proto(event.progress) if event.progress else None,
        error=task_error_to_status(event.error),
    )
    if event.output is not None:
        proto.output = event.output.decode()
    if event.result is not None:
        proto.result = event.result.decode()
    return proto


def event_from_proto(proto: task_pb2.TaskEvent) -> TaskEvent:
    """Return the event that a message describes.

    Raises:
        InvalidField: the message describes no event that a store could hold.
    """
    task_id = parse_task_name(proto.task)
    if task_id is None:
        raise InvalidField("task", "is no task's name (tasks/ID)")
    try:
        kind = EventKind(proto.kind)
    except ValueError:
        raise InvalidField("kind", f"{proto.kind} is no kind of event") from None
    detail = proto.WhichOneof("detail")
    return TaskEvent(
        task_id=task_id,
        generation=proto.generation,
        kind=kind,
        at=time_from_proto(proto.event_time, "event_time"),
        state=state_from_proto(proto.state, "state"),
        state_reason=proto.state_reason,
        attempt=proto.attempt,
        progress=progress_from_proto(proto.progress, "progress") if detail == "progress" else None,
        output=proto.output.encode() if detail == "output" else None,
        result=proto.result.encode() if detail == "result" else None,
        error=task_error_from_status(proto.error) if detail == "error" else None,
    )


def state_to_proto(state: TaskState) -> task_pb2.Task.State.ValueType:
    """Return the state; the numbers are the same."""
    return task_pb2.Task.State.ValueType(state)


def state_from_proto(state: int, field: str) -> TaskState:
    """Return the state; raise InvalidField when it is unspecified or unknown."""
    found = _STATES.get(state)
    if found is None:
        raise InvalidField(field, f"{state} is no state of a task")
    return found


def progress_to_proto(progress: Progress) -> task_pb2.Progress:
    """Return a report of progress."""
    return task_pb2.Progress(
        fraction=progress.fraction, message=progress.message, report_time=time_to_proto(progress.reported_at)
    )


def progress_from_proto(proto: task_pb2.Progress, field: str) -> Progress:
    """Return a report of progress; raise InvalidField when its time is out of range."""
    fraction = proto.fraction if proto.HasField("fraction") else None
    try:
        return Progress(fraction, proto.message, time_from_proto(proto.report_time, ""))
    except InvalidField as error:
        raise InvalidField(f"{field}.report_time", error.why) from None


def trace_to_proto(trace: TraceContext) -> task_pb2.TraceContext | None:
    """Return a trace context; None, which leaves a message's field unset, where there is none."""
    if trace == NO_TRACE:
        return None
    return task_pb2.TraceContext(traceparent=trace.traceparent, tracestate=trace.tracestate)


def trace_from_proto(proto: task_pb2.TraceContext) -> TraceContext:
    """Return a trace context; the empty one when the message is unset."""
    traceparent = proto.traceparent
    return TraceContext(traceparent, proto.tracestate) if traceparent else NO_TRACE


def json_to_text(json: bytes | None) -> str:
    """Return JSON bytes as text; nothing as the empty string."""
    return json.decode() if json else ""


def json_from_text(text: str) -> bytes | None:
    """Return JSON text as bytes; the empty string as nothing."""
    return text.encode() if text else None
