"""Tasks, events and workers as rows of a database, and back. The only place that knows the order of the columns.

Times are microseconds since the Unix epoch; JSON of users stays the bytes that it came in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import orjson

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import NO_LABELS, NO_TRACE, Progress, Task, TaskError, TraceContext
from outlast.core.worker import Worker
from outlastd.stores.port import Census

Row = Sequence[Any]

#: What never changes once a task exists.
FIXED_COLUMNS = (
    *("task_id", "task_type", "agent", "session_id", "request_id", "created_by_worker", "created_by_sequence"),
    *("max_attempts", "labels", "traceparent", "tracestate", "idempotency_key"),
    *("timeout", "backoff", "queue_timeout", "manual", "created_at"),
    *("metadata", "input"),
)
#: What a change may write.
CHANGING_COLUMNS = (
    *("state", "state_reason", "worker_id", "epoch", "attempt", "generation"),
    *("progress_fraction", "progress_message", "progress_at", "error_code", "error_message", "error_type"),
    *("updated_at", "cancel_requested_at", "expires_at", "started_at", "ended_at"),
    *("next_attempt_at", "queue_until", "cancel_until"),
    "result",
)
#: After these a task is where it was before.
REPORTS = frozenset({EventKind.PROGRESSED, EventKind.OUTPUT})
#: What they write of CHANGING_COLUMNS (lifecycle.apply_operation): none is in an index.
REPORTED_COLUMNS = ("generation", "progress_fraction", "progress_message", "progress_at", "updated_at")
_LARGE = ("metadata", "input", "result")
#: A task without what may be large: what ``task_from_row`` reads.
BASIC_COLUMNS = (*(name for name in (*FIXED_COLUMNS, *CHANGING_COLUMNS) if name not in _LARGE),)
#: A whole task: what ``task_from_row`` reads.
FULL_COLUMNS = (*BASIC_COLUMNS, *_LARGE)
#: An event as it is written. Its result is not: it is its task's, and no event comes after it.
EVENT_COLUMNS = (
    *("task_id", "generation", "kind", "at", "state", "state_reason", "attempt"),
    *("progress_fraction", "progress_message", "progress_at", "error_code", "error_message", "error_type", "output"),
)
WORKER_COLUMNS = (
    *("worker_id", "agent", "epoch", "applied_sequence", "lost_sequence"),
    *("lock_path", "session_id", "task_types", "draining", "lease_until"),
)

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = (None, None, None)
#: By number: a third of the time that it takes to ask the enums.
_STATES = {int(state): state for state in TaskState}
_KINDS = {int(kind): kind for kind in EventKind}
#: The time that was asked for last: by the store's clock everything that is written together is of the same moment.
_newest: tuple[datetime, int] = (_UNIX_EPOCH, 0)


def microseconds(at: datetime) -> int:
    """Return a time as the database keeps it. Raises TypeError for a time without a zone."""
    global _newest
    known, value = _newest  # one read: another thread may be at another one
    if known is not at:
        value = _worker_time(at)
        _newest = at, value
    return value


def optional_microseconds(at: datetime | None) -> int | None:
    """Return a time that there may be as the database keeps it."""
    return None if at is None else microseconds(at)


def optional_time(value: int | None) -> datetime | None:
    """Return the time that the database keeps so; None where it keeps none."""
    return None if value is None else _UNIX_EPOCH + timedelta(microseconds=value)


def fixed_values(task: Task, null: float | None = None) -> Row:
    """Return the values of FIXED_COLUMNS; ``null`` stands for what there is none of, in all of these."""
    return (
        task.task_id,
        task.task_type,
        task.agent,
        task.session_id,
        task.request_id,
        *task.created_by,
        task.max_attempts,
        orjson.dumps(dict(task.labels)) if task.labels else null,
        task.trace_context.traceparent,
        task.trace_context.tracestate,
        task.idempotency_key,
        null if task.timeout is None else task.timeout // _MICROSECOND,
        null if task.backoff is None else task.backoff // _MICROSECOND,
        null if task.queue_timeout is None else task.queue_timeout // _MICROSECOND,
        task.manual,
        null if task.created_at is None else microseconds(task.created_at),
        null if task.metadata is None else task.metadata,
        null if task.input is None else task.input,
    )


def changing_values(task: Task, null: float | None = None) -> Row:
    """Return the values of CHANGING_COLUMNS."""
    return (
        +task.state,  # an int and no enum any more, in a sixth of the time that int() takes
        str(task.state_reason),
        task.worker_id,
        task.epoch,
        task.attempt,
        task.generation,
        *(_progress_values(task.progress, null) if task.progress is not None else (null, null, null)),
        *(_error_values(task.error) if task.error is not None else (null, null, null)),
        null if task.updated_at is None else microseconds(task.updated_at),
        null if task.cancel_requested_at is None else microseconds(task.cancel_requested_at),
        null if task.expires_at is None else microseconds(task.expires_at),
        null if task.started_at is None else _worker_time(task.started_at),
        null if task.ended_at is None else _worker_time(task.ended_at),
        null if task.next_attempt_at is None else microseconds(task.next_attempt_at),
        null if task.queue_until is None else microseconds(task.queue_until),
        null if task.cancel_until is None else microseconds(task.cancel_until),
        null if task.result is None else task.result,
    )


def reported_values(task: Task, null: float | None = None) -> Row:
    """Return the values of REPORTED_COLUMNS."""
    return (
        task.generation,
        *(_progress_values(task.progress, null) if task.progress is not None else (null, null, null)),
        null if task.updated_at is None else microseconds(task.updated_at),
    )


def event_values(event: TaskEvent, null: float | None = None) -> Row:
    """Return the values of EVENT_COLUMNS."""
    return (
        event.task_id,
        event.generation,
        +event.kind,
        microseconds(event.at),
        +event.state,
        str(event.state_reason),
        event.attempt,
        *(_progress_values(event.progress, null) if event.progress is not None else (null, null, null)),
        *(_error_values(event.error) if event.error is not None else (null, null, null)),
        null if event.output is None else event.output,
    )


def task_from_row(row: Row) -> Task:
    """Return the task in a row of FULL_COLUMNS, or of BASIC_COLUMNS: then without metadata, input and result."""
    task_id, task_type, agent, session_id, request_id, created_by_worker, created_by_sequence, *rest = row
    max_attempts, labels, traceparent, tracestate, idempotency_key, *rest = rest
    timeout, backoff, queue_timeout, manual, created_at, *rest = rest
    state, state_reason, worker_id, epoch, attempt, generation, *rest = rest
    fraction, message, reported_at, error_code, error_message, error_type, *rest = rest
    updated_at, cancel_requested_at, expires_at, started_at, ended_at, *rest = rest
    next_attempt_at, queue_until, cancel_until, *large = rest
    metadata, input_, result = large or _NOTHING
    return Task(
        task_id=task_id,
        task_type=task_type,
        agent=agent,
        state=_STATES[state],
        state_reason=state_reason,
        session_id=session_id,
        request_id=request_id,
        worker_id=worker_id,
        epoch=epoch,
        created_by=(created_by_worker, created_by_sequence),
        attempt=attempt,
        max_attempts=max_attempts,
        generation=generation,
        progress=_progress(fraction, message, reported_at),
        result=result,
        error=_error(error_code, error_message, error_type),
        input=input_,
        metadata=metadata,
        labels=NO_LABELS if labels is None else MappingProxyType(orjson.loads(labels)),
        trace_context=TraceContext(traceparent, tracestate) if traceparent or tracestate else NO_TRACE,
        idempotency_key=idempotency_key,
        timeout=_interval(timeout),
        backoff=_interval(backoff),
        queue_timeout=_interval(queue_timeout),
        manual=bool(manual),
        next_attempt_at=optional_time(next_attempt_at),
        queue_until=optional_time(queue_until),
        cancel_until=optional_time(cancel_until),
        created_at=optional_time(created_at),
        updated_at=optional_time(updated_at),
        cancel_requested_at=optional_time(cancel_requested_at),
        expires_at=optional_time(expires_at),
        started_at=optional_time(started_at),
        ended_at=optional_time(ended_at),
    )


def event_from_row(row: Row) -> TaskEvent:
    """Return the event in a row of EVENT_COLUMNS and the result that belongs to it."""
    task_id, generation, kind, at, state, state_reason, attempt, *rest = row
    fraction, message, reported_at, error_code, error_message, error_type, output, result = rest
    return TaskEvent(
        task_id=task_id,
        generation=generation,
        kind=_KINDS[kind],
        at=_UNIX_EPOCH + timedelta(microseconds=at),
        state=_STATES[state],
        state_reason=state_reason,
        attempt=attempt,
        progress=_progress(fraction, message, reported_at),
        output=output,
        result=result,
        error=_error(error_code, error_message, error_type),
    )


def worker_values(worker: Worker) -> Row:
    """Return the values of WORKER_COLUMNS."""
    return (
        worker.worker_id,
        worker.agent,
        worker.epoch,
        worker.applied_sequence,
        worker.lost_sequence,
        worker.lock_path,
        worker.session_id,
        task_types_value(worker.task_types),
        worker.draining,
        optional_microseconds(worker.lease_until),
    )


def worker_from_row(row: Row) -> Worker:
    """Return the worker in a row of WORKER_COLUMNS."""
    worker_id, agent, epoch, applied_sequence, lost_sequence, *rest = row
    lock_path, session_id, task_types, draining, lease_until = rest
    return Worker(
        worker_id=worker_id,
        agent=agent,
        epoch=epoch,
        applied_sequence=applied_sequence,
        lost_sequence=lost_sequence,
        lock_path=lock_path,
        session_id=session_id,
        task_types=frozenset(orjson.loads(task_types)),
        draining=bool(draining),
        lease_until=optional_time(lease_until),
    )


def census_from_row(row: Row, now: datetime) -> Census:
    """Return what a row of the census says: agent, state, tasks, how many of them wait, and since when the first."""
    agent, state, tasks, backlog, since = row
    longest_wait = timedelta() if since is None else (microseconds(now) - since) * _MICROSECOND
    return Census(agent, TaskState(state), tasks, backlog, max(longest_wait, timedelta()))


def task_types_value(task_types: frozenset[str]) -> bytes:
    """Return task types as the database keeps them."""
    return orjson.dumps(sorted(task_types))


def _interval(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(microseconds=value)


def _worker_time(at: datetime) -> int:
    """Do what ``microseconds`` does for a time by a worker's clock, which hardly ever comes twice in a row."""
    return (at - _UNIX_EPOCH) // _MICROSECOND


def _progress_values(progress: Progress, null: float | None) -> Row:
    fraction = progress.fraction
    if fraction is None:
        return null, progress.message, _worker_time(progress.reported_at)
    if math.isnan(fraction):
        # SQLite would keep NULL, which means that there is none.
        raise ValueError("progress is not a number")
    return fraction, progress.message, _worker_time(progress.reported_at)


def _progress(fraction: float | None, message: str, reported_at: int | None) -> Progress | None:
    if reported_at is None:
        return None
    return Progress(fraction, message, _UNIX_EPOCH + timedelta(microseconds=reported_at))


def _error_values(error: TaskError) -> Row:
    return error.code, error.message, error.type


def _error(code: int | None, message: str, type_: str) -> TaskError | None:
    return None if code is None else TaskError(code, message, type_)
