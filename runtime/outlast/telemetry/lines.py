"""The log lines of the contract, to the letter: every one of them is made here (design: section 5, log lines)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from outlast.context import Invocation, current_invocation
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.telemetry.log import Level, contract_logger, emit, error_fields
from outlast.telemetry.propagation import span_id_of, trace_id_of
from outlast.telemetry.tracked import Tracked

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
    write("INFO", f"Async task started: {task.task_type} (ID: {task.task_id})", task=task)


def task_ended(task: Task) -> None:
    """Say how a terminal task ended. Written by the task manager, after the commit."""
    ending, level = _ENDINGS[task.state]
    if task.state is TaskState.FAILED and task.state_reason in _LOST:
        ending = "lost"
    duration = f"{task.duration.total_seconds():.2f}s"
    fields: dict[str, Any] = {}
    if task.error is not None:
        fields = {"errorType": task.error.type, "errorMessage": task.error.message}
    write(
        level, f"Async task {ending}: {task.task_type} (ID: {task.task_id}, Duration: {duration})", task=task, **fields
    )


def function_ended(
    tracked: Tracked, state: TaskState, seconds: float, error: BaseException | None = None
) -> Callable[[], None]:
    """Return what says how a decorated function ended, ``seconds`` after its call. For the runtime to write.

    It is called once the task manager has said that the task started, and before it hears that it ended. What an
    exception says of itself is asked here and now, on the thread of the function.
    """
    ending, level = _ENDINGS[state]
    # A cancel is somebody's wish: where in the function it struck is no news.
    fields = {} if error is None or state is TaskState.CANCELED else error_fields(error)
    message = f"Async task {ending}: {tracked.start.task_type} ({seconds:.3f}s)"
    return partial(write, level, message, task=tracked, **fields)


def invocation_completed(seconds: float, invocation: Invocation) -> None:
    """Say that a handler has returned, ``seconds`` after it was called. Written by the front door."""
    write("INFO", f"Invocation completed successfully ({seconds:.3f}s)", invocation=invocation)


def write(
    level: Level,
    message: str,
    *,
    invocation: Invocation | None = None,
    task: Task | Tracked | None = None,
    error: BaseException | None = None,
    **more: Any,
) -> None:
    """Write a line in the contract's shape. From any thread; never raises.

    The ids are those of ``task`` where it is given, else of ``invocation``, else of the invocation that the caller
    runs for. ``more`` goes behind them.
    """
    fields: dict[str, Any] = {"logger": contract_logger()}
    if task is not None:
        started = task if isinstance(task, Task) else task.start
        request_id, session_id, trace_context = started.request_id, started.session_id, started.trace_context
    else:
        invocation = invocation or current_invocation.get()
        if invocation is None:
            emit(level, message, fields | more, error)
            return
        request_id, session_id, trace_context = invocation.request_id, invocation.session_id, invocation.trace_context
    if request_id:
        fields["requestId"] = request_id
    if session_id:
        fields["sessionId"] = session_id
    if task is not None:
        fields["taskId"] = str(task.task_id)
    if trace_id := trace_id_of(trace_context):
        fields["traceId"] = trace_id
        fields["spanId"] = span_id_of(task.task_id) if task is not None else trace_context.traceparent[36:52]
    emit(level, message, fields | more, error)
