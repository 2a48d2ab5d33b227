"""What may enter: limits and well-formedness of requests and operations, beyond ``outlast.core.validation``."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import orjson

from outlast.core.errors import InvalidField
from outlast.core.operation import Finish, Operation, Output, Report, Start, Submit
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError, TraceContext
from outlast.core.task_id import MAX_TASK_ID
from outlast.core.validation import (
    MAX_FIRST_BACKOFF,
    MAX_ID,
    MAX_INPUT,
    MAX_METADATA,
    MAX_NAME,
    check_attempts,
    check_duration,
    check_labels,
    check_text,
    clean_text,
)
from outlast.core.value import evolve

#: Bytes at the most of a return value or of the output in one operation: what workers may be set to allow.
MAX_OUTCOME = 16 * 1024 * 1024
#: Characters at the most of a message for people: of progress, of an error. Longer ones are cut.
MAX_MESSAGE = 4_096
#: The ends that a worker may report.
_ENDS = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED})
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def check_operation(operation: Operation) -> Operation:
    """Return an operation as it may be applied: text for people cleaned, everything else as it was.

    Raises:
        InvalidField: it can never be applied.
    """
    if operation.sequence < 1:
        raise InvalidField("sequence", f"{operation.sequence} is not positive")
    if not 0 < operation.task_id <= MAX_TASK_ID:
        raise InvalidField("task_id", f"{operation.task_id} is no task's id")
    match operation.action:
        case Start() as start:
            _check_start("start", start)
            return operation
        case Submit(start=start, state_reason=reason):
            _check_start("submit.start", start)
            _check_reason("submit.state_reason", reason)
            return operation
        case Report(progress=progress):
            fraction = progress.fraction
            if fraction is not None and not 0 <= fraction <= 1:
                raise InvalidField("progress.fraction", f"{fraction} is not between 0 and 1")
            message = clean_text(progress.message, MAX_MESSAGE)
            if message == progress.message:
                return operation
            return evolve(operation, action=Report(evolve(progress, message=message)))
        case Output(chunks=chunks):
            check_json("output.chunks", chunks, MAX_OUTCOME, list)
            return operation
        case Finish() as finish:
            checked = _checked_finish(finish)
            return operation if checked is finish else evolve(operation, action=checked)


def check_new_task(task: Task) -> None:
    """Check a task that somebody wants to submit; raise InvalidField when it cannot be."""
    check_text("agent", task.agent, MAX_NAME, required=True)
    check_text("task_type", task.task_type, MAX_NAME, required=True)
    check_text("session_id", task.session_id, MAX_ID)
    check_text("request_id", task.request_id, MAX_ID)
    check_text("idempotency_key", task.idempotency_key, MAX_NAME)
    check_labels(task.labels)
    _check_trace("trace_context", task.trace_context)
    _check_runs("", task.max_attempts, task.timeout, task.backoff)
    if task.queue_timeout is not None:
        check_duration("queue_timeout", task.queue_timeout)
    if task.input is not None:
        check_json("input", task.input, MAX_INPUT, dict)


def check_json(field: str, text: bytes, limit: int, kind: type | None = None) -> None:
    """Check JSON text, as Python's ``json`` reads it, and what it is the text of; raise InvalidField otherwise."""
    if len(text) > limit:
        raise InvalidField(field, f"has {len(text):,} bytes, over the limit of {limit:,}")
    value: object
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        # Not the last word: lone surrogates and integers of any length are JSON too.
        try:
            value = json.loads(text, parse_int=len)
        except ValueError as error:
            raise InvalidField(field, f"is not JSON: {error}") from None
        except RecursionError:
            raise InvalidField(field, "is nested too deeply") from None
    if kind is not None and not isinstance(value, kind):
        raise InvalidField(field, f"is no JSON {'array' if kind is list else 'object'}")


def _check_start(field: str, start: Start) -> None:
    check_text(f"{field}.task_type", start.task_type, MAX_NAME, required=True)
    check_text(f"{field}.session_id", start.session_id, MAX_ID)
    check_text(f"{field}.request_id", start.request_id, MAX_ID)
    if start.labels:
        check_labels(start.labels)
    _check_trace(f"{field}.trace_context", start.trace_context)
    _check_runs(f"{field}.", start.max_attempts, start.timeout, start.backoff)
    if start.metadata is not None:
        check_json(f"{field}.metadata", start.metadata, MAX_METADATA, dict)
    if start.input is not None:
        check_json(f"{field}.input", start.input, MAX_INPUT, dict)


def _checked_finish(finish: Finish) -> Finish:
    if finish.state not in _ENDS:
        raise InvalidField("finish.state", f"{finish.state.name} is not COMPLETED, FAILED or CANCELED")
    _check_reason("finish.state_reason", finish.state_reason)
    if finish.state is TaskState.COMPLETED:
        if finish.error is not None:
            raise InvalidField("finish.error", "comes with COMPLETED")
        if finish.result is not None:
            check_json("finish.result", finish.result, MAX_OUTCOME)
        return finish
    if finish.result is not None:
        raise InvalidField("finish.result", f"comes with {finish.state.name}")
    error = finish.error or TaskError(code=2, message="", type="")
    cleaned = TaskError(error.code, clean_text(error.message, MAX_MESSAGE), clean_text(error.type, MAX_NAME))
    return evolve(finish, error=cleaned)


def _check_reason(field: str, reason: str) -> None:
    if reason and not _REASON.fullmatch(reason):
        raise InvalidField(field, "is not in UPPER_SNAKE_CASE")


def _check_trace(field: str, trace: TraceContext) -> None:
    check_text(f"{field}.traceparent", trace.traceparent, MAX_NAME)
    check_text(f"{field}.tracestate", trace.tracestate, MAX_ID)


def _check_runs(prefix: str, max_attempts: int, timeout: timedelta | None, backoff: timedelta | None) -> None:
    check_attempts(f"{prefix}max_attempts", max_attempts)
    if timeout is not None:
        check_duration(f"{prefix}timeout", timeout)
    if backoff is not None:
        check_duration(f"{prefix}backoff", backoff, MAX_FIRST_BACKOFF, zero=True)
