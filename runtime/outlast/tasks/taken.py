"""How a task ends that is taken from its code: its process is told to stop, its lease is lost, its time is up."""

from __future__ import annotations

from datetime import timedelta

from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TaskError

# google.rpc.Code
_CANCELLED, _DEADLINE_EXCEEDED, _ABORTED = 1, 4, 10

#: Why somebody else has ended a task as CANCELED.
_CANCELS = frozenset({StateReason.CANCEL_REQUESTED, StateReason.CANCEL_FORCED})


def shut_down(message: str) -> Finish:
    """Return the end of an attempt whose process stops; it runs again where the task's policy says so."""
    return _failed(_ABORTED, StateReason.WORKER_SHUTDOWN, message)


def lost(message: str) -> Finish:
    """Return the end of an attempt that this worker holds no more."""
    return _failed(_ABORTED, StateReason.WORKER_LOST, message)


def timed_out(timeout: timedelta) -> Finish:
    """Return the end of an attempt that took too long."""
    message = f"did not end within its timeout of {timeout.total_seconds():g} s"
    return _failed(_DEADLINE_EXCEEDED, StateReason.DEADLINE, message)


def ended_elsewhere(reason: str) -> Finish:
    """Return how a task ends here that the task manager has ended for ``reason``."""
    if reason in _CANCELS:
        error = TaskError(_CANCELLED, "canceled on request", reason)
        return Finish(TaskState.CANCELED, reason, error=error)
    return _failed(_ABORTED, reason, "the task manager has ended the task")


def refused(reason: str, message: str) -> Finish:
    """Return how a task ends here that the task manager does not take."""
    return _failed(_ABORTED, reason, message)


def _failed(code: int, reason: str, message: str) -> Finish:
    return Finish(TaskState.FAILED, reason, error=TaskError(code, message, reason))
