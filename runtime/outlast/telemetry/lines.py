"""The log lines of the contract, to the letter: every one of them is made here (design: section 5, log lines)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from outlast.context import Invocation, current_invocation
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.telemetry import records
from outlast.telemetry.correlation import Origin, current_ids, ids_of
from outlast.telemetry.log import Level, contract_logger, error_fields, summary_of
from outlast.telemetry.tracked import Tracked

if TYPE_CHECKING:
    from outlast.core.event import Change

_LOST = frozenset({StateReason.WORKER_LOST, StateReason.WORKER_SHUTDOWN})

#: How a task that ended is spoken of, and how loudly.
_ENDINGS: dict[TaskState, tuple[str, Level]] = {
    TaskState.COMPLETED: ("completed", "INFO"),
    TaskState.FAILED: ("failed", "ERROR"),
    TaskState.CANCELED: ("canceled", "WARNING"),
    TaskState.REJECTED: ("rejected", "WARNING"),
}


def task_started(task: Task) -> None:
    """Say that an attempt of a task has begun. Written by the task manager, after the commit."""
    more: dict[str, Any] = {"attempt": task.attempt} if task.attempt > 1 else {}
    write("INFO", f"Async task started: {task.task_type} (ID: {task.task_id})", task=task, **more)


def task_runs_again(change: Change) -> None:
    """Say why an attempt has ended and when the next one follows. Written by the task manager, after the commit."""
    task, event = change.task, change.event
    wait = max((task.next_attempt_at - event.at).total_seconds(), 0.0) if task.next_attempt_at else 0.0
    attempt = f"Attempt: {event.attempt} of {task.max_attempts}, in {wait:.1f}s"
    write(
        "WARNING",
        f"Async task will run again: {task.task_type} (ID: {task.task_id}, {attempt})",
        task=task,
        **_error_of(event.error),
        stateReason=event.state_reason,
    )


def task_ended(task: Task) -> None:
    """Say how a terminal task ended. Written by the task manager, after the commit."""
    ending, level = _ENDINGS[task.state]
    if task.state is TaskState.FAILED and task.state_reason in _LOST:
        ending = "lost"
    duration = f"{task.duration.total_seconds():.2f}s"
    message = f"Async task {ending}: {task.task_type} (ID: {task.task_id}, Duration: {duration})"
    write(level, message, task=task, **_error_of(task.error))


def function_ended(
    tracked: Tracked, state: TaskState, seconds: float, error: BaseException | None = None
) -> Callable[[], None]:
    """Return what says how a decorated function ended, ``seconds`` after its call. For the runtime to write.

    It is called once the task manager has said that the task started, and before it hears that it ended. What an
    exception says of itself is asked here and now, on the thread of the function.
    """
    ending, level = _ENDINGS[state]
    # A cancel is somebody's wish: where in the function it struck is no news.
    told = None if error is None or state is TaskState.CANCELED else error_fields(error)
    message = f"Async task {ending}: {tracked.start.task_type} ({seconds:.3f}s)"
    # An exception holds on to all that its frames do, and this may wait for a task manager for hours.
    kept = error if told and records.listened() else None
    return partial(write, level, message, task=tracked, error=kept, error_told=told)


def invocation_completed(seconds: float, invocation: Invocation) -> None:
    """Say that a handler has returned, ``seconds`` after it was called. Written by the front door."""
    write("INFO", f"Invocation completed successfully ({seconds:.3f}s)", invocation=invocation)


def serialization_failed(error: Exception) -> None:
    """Say that what a handler returned or yielded cannot be written as JSON. On the handler's thread."""
    write("WARNING", f"Failed to serialize object: {summary_of(error)}")


def debug(message: str, *values: object, invocation: Invocation | None = None, task: Tracked | None = None) -> bool:
    """Write a DEBUG line if somebody wants to read it, and return whether; else its ``%s`` are not even filled."""
    enabled = records.enabled("DEBUG")
    if enabled:
        write("DEBUG", message % values, invocation=invocation, task=task)
    return enabled


def write(
    level: Level,
    message: str,
    *,
    invocation: Invocation | None = None,
    task: Task | Tracked | None = None,
    error: BaseException | None = None,
    error_told: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Write a line in the contract's shape. From any thread; never raises.

    The ids are those of ``task`` where it is given, else of ``invocation``, else of what the caller works for. ``more``
    goes behind them, and then what ``error`` says, or has been asked before (``error_told``).
    """
    if not records.enabled(level):
        return
    origin: Origin | None = invocation
    if task is not None:
        origin = task if isinstance(task, Task) else task.start
    if origin is not None:
        ids = ids_of(origin, None if task is None else task.task_id)
    else:
        ids, origin = current_ids(), current_invocation.get()
    fields: dict[str, Any] = {"logger": contract_logger(), **ids, **more}
    if error_told is not None:
        fields |= error_told
    elif error is not None:
        fields |= error_fields(error)
    records.write(level, message, fields, origin, error)


def _error_of(error: TaskError | None) -> dict[str, Any]:
    return {} if error is None else {"errorType": error.type, "errorMessage": error.message}
