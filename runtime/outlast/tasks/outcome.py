"""How a task's code ended, as the ledger keeps it: what it returned or raised, made into a Finish."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from outlast.core.errors import InvalidField
from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TaskError
from outlast.core.validation import MAX_NAME, clean_text
from outlast.limits import MAX_RESULT_BYTES
from outlast.payload import to_stored_json

#: Characters at the most that are kept of an exception's message.
MAX_ERROR_MESSAGE = 16 * 1024

# google.rpc.Code
_CANCELLED, _UNKNOWN, _INVALID_ARGUMENT = 1, 2, 3


def returned(value: Any, max_bytes: int = MAX_RESULT_BYTES) -> tuple[Finish, InvalidField | None]:
    """Return how a task ends that returned ``value``, and why the value was refused if it was.

    A value over ``max_bytes`` of JSON, or that cannot be written at all, fails the task: RESULT_REFUSED.
    """
    try:
        return Finish(TaskState.COMPLETED, result=to_stored_json(value, max_bytes)), None
    except InvalidField as refusal:
        error = TaskError(_INVALID_ARGUMENT, clean_text(refusal.message, MAX_ERROR_MESSAGE), StateReason.RESULT_REFUSED)
        return Finish(TaskState.FAILED, StateReason.RESULT_REFUSED, error=error), refusal


def raised(error: BaseException, *, cancel_requested: bool) -> Finish:
    """Return how a task ends that raised ``error``: CANCELED if it was a cancellation, FAILED otherwise.

    GeneratorExit counts as one: the coroutine was closed, or collected, before it had ended.
    """
    if isinstance(error, CancelledError | GeneratorExit):
        reason = StateReason.CANCEL_REQUESTED if cancel_requested else StateReason.SELF
        message = _message(error) or ("canceled on request" if cancel_requested else "canceled by its own code")
        return Finish(TaskState.CANCELED, reason, error=TaskError(_CANCELLED, message, reason))
    kind = clean_text(type(error).__name__, MAX_NAME)
    return Finish(TaskState.FAILED, error=TaskError(_UNKNOWN, _message(error), kind))


def failed(message: str) -> Finish:
    """Return how a task ends of which somebody said, in words, that it failed."""
    return Finish(TaskState.FAILED, error=TaskError(_UNKNOWN, clean_text(message, MAX_ERROR_MESSAGE), "UNKNOWN"))


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # __str__ of a user's exception
        text = f"<{type(error).__name__}, whose text cannot be had>"
    return clean_text(text, MAX_ERROR_MESSAGE)
