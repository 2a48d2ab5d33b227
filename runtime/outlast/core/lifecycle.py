"""The lifecycle: what each operation and request makes of a task. The one place that builds a Change.

Every function takes the task as it stands (or None), and the time by the store's clock, and returns the change or
raises; nothing happens when it raises.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from outlast.core.errors import IllegalTransition, LeaseLost, TaskExists, TaskNotFound
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TRANSITIONS, StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.core.worker import Worker


def apply_operation(task: Task | None, operation: Operation, worker: Worker, now: datetime) -> Change:
    """Apply a worker's operation.

    Raises:
        TaskNotFound: the task does not exist and the operation does not start it.
        TaskExists: a start names an id that another worker, or another operation, has made.
        LeaseLost: the task is held under another epoch.
        IllegalTransition: the task's state does not allow it.
    """
    action = operation.action
    if isinstance(action, Start):
        return _start(task, operation, action, worker, now)
    if task is None:
        raise TaskNotFound(operation.task_id)
    if task.state.terminal:
        raise IllegalTransition(task.task_id, task.state.name, _wanted(action))
    if (task.worker_id, task.epoch) != (worker.worker_id, worker.epoch):
        raise LeaseLost(task.task_id, worker.epoch, task.epoch)
    if isinstance(action, Report):
        return _changed(task, EventKind.PROGRESSED, now, progress=action.progress)
    if isinstance(action, Output):
        return _changed(task, EventKind.OUTPUT, now, output=action.chunks)
    return end(task, action, ended_at=operation.at, now=now)


def _start(task: Task | None, operation: Operation, action: Start, worker: Worker, now: datetime) -> Change:
    """Begin an attempt, of a new task or of one that was submitted."""
    if task is None:
        task = Task(
            task_id=operation.task_id,
            task_type=action.task_type,
            agent=worker.agent,
            state=TaskState.SUBMITTED,
            session_id=action.session_id,
            request_id=action.request_id,
            created_by=(worker.worker_id, operation.sequence),
            max_attempts=action.max_attempts,
            metadata=action.metadata,
            input=action.input,
            trace_context=action.trace_context,
            labels=action.labels,
            timeout=action.timeout,
            created_at=now,
        )
    elif (task.agent, task.task_type) != (worker.agent, action.task_type) or (
        task.created_by[0] != "" and task.attempt == task.max_attempts
    ):
        # Not what the worker starts, or made by a worker and not waiting for another attempt: somebody else's id,
        # never merged.
        raise TaskExists(task.task_id)
    _check_move(task, TaskState.WORKING)
    return _changed(
        task,
        EventKind.STATE_CHANGED,
        now,
        state=TaskState.WORKING,
        state_reason="",
        worker_id=worker.worker_id,
        epoch=worker.epoch,
        attempt=task.attempt + 1,
        started_at=operation.at,
    )


def submit(task: Task, now: datetime) -> Change:
    """Record a new task that waits for a worker (CreateTask)."""
    new = replace(task, generation=0)
    return _changed(new, EventKind.STATE_CHANGED, now, state=TaskState.SUBMITTED, created_at=now)


def request_cancel(task: Task, now: datetime) -> Change | None:
    """Record that somebody asked to cancel; None when somebody already had.

    A task that no worker has started is CANCELED at once: there is no code to reach.

    Raises:
        IllegalTransition: the task is terminal.
    """
    if task.state.terminal:
        raise IllegalTransition(task.task_id, task.state.name, TaskState.CANCELED.name)
    if task.state is TaskState.SUBMITTED:
        requested = replace(task, cancel_requested_at=now)
        error = TaskError(code=1, message="canceled before it was started", type=StateReason.CANCEL_REQUESTED)
        return end(
            requested, Finish(TaskState.CANCELED, StateReason.CANCEL_REQUESTED, error=error), ended_at=now, now=now
        )
    if task.cancel_requested_at is not None:
        return None
    return _changed(
        task, EventKind.CANCEL_REQUESTED, now, cancel_requested_at=now, state_reason=StateReason.CANCEL_REQUESTED
    )


def lose(task: Task, reason: StateReason, message: str, now: datetime) -> Change:
    """End a task whose worker is gone: FAILED with the reason (promise 4)."""
    error = TaskError(code=10, message=message, type=reason)
    return end(task, Finish(TaskState.FAILED, reason, error=error), ended_at=now, now=now)


def end(task: Task, finish: Finish, *, ended_at: datetime, now: datetime) -> Change:
    """Move a task to its terminal state. ``ended_at`` never lies before the start of the attempt."""
    _check_move(task, finish.state)
    return _changed(
        task,
        EventKind.STATE_CHANGED,
        now,
        state=finish.state,
        state_reason=finish.state_reason,
        result=finish.result,
        error=finish.error,
        ended_at=max(ended_at, task.started_at) if task.started_at else ended_at,
    )


def _check_move(task: Task, state: TaskState) -> None:
    if state not in TRANSITIONS[task.state]:
        raise IllegalTransition(task.task_id, task.state.name, state.name)


def _changed(task: Task, kind: EventKind, now: datetime, *, output: bytes | None = None, **fields: Any) -> Change:
    """Give a task its new fields and its next generation, and make the event that goes with it."""
    # One replace for all: making a Task is most of what an operation costs.
    task = replace(task, generation=task.generation + 1, updated_at=now, **fields)
    event = TaskEvent(
        task_id=task.task_id,
        generation=task.generation,
        kind=kind,
        at=now,
        state=task.state,
        state_reason=task.state_reason,
        attempt=task.attempt,
        progress=task.progress if kind is EventKind.PROGRESSED else None,
        output=output,
        result=task.result,
        error=task.error,
    )
    return Change(task, event)


def _wanted(action: Action) -> str:
    return action.state.name if isinstance(action, Finish) else TaskState.WORKING.name
