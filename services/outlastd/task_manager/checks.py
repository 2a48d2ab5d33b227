"""What may enter: limits and well-formedness of requests and operations, beyond ``outlast.core.validation``."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import timedelta

import orjson

from outlast.core.errors import InvalidField
from outlast.core.operation import Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError, TraceContext
from outlast.core.task_id import MAX_TASK_ID
from outlast.core.validation import MAX_ID, MAX_METADATA, MAX_NAME, check_labels, check_text, clean_text

#: Bytes at the most of a return value or of the output in one operation: what workers may be set to allow.
MAX_OUTCOME = 16 * 1024 * 1024
#: Bytes at the most of a task's recorded arguments.
MAX_INPUT = 1024 * 1024
#: Attempts at the most that a task may have.
MAX_ATTEMPTS = 1_000
#: Characters at the most of a message for people: of progress, of an error. Longer ones are cut.
MAX_MESSAGE = 4_096
#: The ends that a worker may report.
_ENDS = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED})
_REASON = re.compile(r"([A-Z][A-Z0-9_]{0,63})?")


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
            _check_start(start)
            return operation
        case Report(progress=progress):
            fraction = progress.fraction
            if fraction is not None and not (math.isfinite(fraction) and 0 <= fraction <= 1):
                raise InvalidField("progress.fraction", f"{fraction} is not between 0 and 1")
            return replace(
                operation, action=Report(replace(progress, message=clean_text(progress.message, MAX_MESSAGE)))
            )
        case Output(chunks=chunks):
            check_json("output.chunks", chunks, MAX_OUTCOME, list)
            return operation
        case Finish() as finish:
            return replace(operation, action=_checked_finish(finish))


def check_new_task(task: Task) -> None:
    """Check a task that somebody wants to submit; raise InvalidField when it cannot be."""
    check_text("agent", task.agent, MAX_NAME, required=True)
    check_text("task_type", task.task_type, MAX_NAME, required=True)
    check_text("session_id", task.session_id, MAX_ID)
    check_text("request_id", task.request_id, MAX_ID)
    check_text("idempotency_key", task.idempotency_key, MAX_NAME)
    check_labels(task.labels)
    _check_trace("trace_context", task.trace_context)
    _check_runs("", task.max_attempts, task.timeout)
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


def _check_start(start: Start) -> None:
    check_text("start.task_type", start.task_type, MAX_NAME, required=True)
    check_text("start.session_id", start.session_id, MAX_ID)
    check_text("start.request_id", start.request_id, MAX_ID)
    check_labels(start.labels)
    _check_trace("start.trace_context", start.trace_context)
    _check_runs("start.", start.max_attempts, start.timeout)
    if start.metadata is not None:
        check_json("start.metadata", start.metadata, MAX_METADATA, dict)
    if start.input is not None:
        check_json("start.input", start.input, MAX_INPUT, dict)


def _checked_finish(finish: Finish) -> Finish:
    if finish.state not in _ENDS:
        raise InvalidField("finish.state", f"{finish.state.name} is not COMPLETED, FAILED or CANCELED")
    if not _REASON.fullmatch(finish.state_reason):
        raise InvalidField("finish.state_reason", "is not in UPPER_SNAKE_CASE")
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
    return replace(finish, error=cleaned)


def _check_trace(field: str, trace: TraceContext) -> None:
    check_text(f"{field}.traceparent", trace.traceparent, MAX_NAME)
    check_text(f"{field}.tracestate", trace.tracestate, MAX_ID)


def _check_runs(prefix: str, max_attempts: int, timeout: timedelta | None) -> None:
    if not 1 <= max_attempts <= MAX_ATTEMPTS:
        raise InvalidField(f"{prefix}max_attempts", f"{max_attempts} is not between 1 and {MAX_ATTEMPTS:,}")
    if timeout is not None and timeout <= timedelta():
        raise InvalidField(f"{prefix}timeout", "is not positive")
