"""The lifecycle: what each operation and request makes of a task. The one place that builds a Change.

Every function takes the task as it stands (or None), and the time by the store's clock, and returns the change or
raises; nothing happens when it raises.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

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
    match action:
        case Report(progress=progress):
            return _changed(replace(task, progress=progress), EventKind.PROGRESSED, now)
        case Output(chunks=chunks):
            return _changed(task, EventKind.OUTPUT, now, output=chunks)
        case Finish():
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
    elif task.created_by[0] != "" and task.attempt == task.max_attempts:
        # Made by a worker, and not waiting for another attempt: somebody else's id, never merged.
        raise TaskExists(task.task_id)
    started = _moved(task, TaskState.WORKING)
    return _changed(
        replace(
            started,
            worker_id=worker.worker_id,
            epoch=worker.epoch,
            attempt=task.attempt + 1,
            started_at=operation.at,
        ),
        EventKind.STATE_CHANGED,
        now,
    )


def submit(task: Task, now: datetime) -> Change:
    """Record a new task that waits for a worker (CreateTask)."""
    submitted = replace(task, state=TaskState.SUBMITTED, generation=0, created_at=now)
    return _changed(submitted, EventKind.STATE_CHANGED, now)


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
    asked = replace(task, cancel_requested_at=now, state_reason=StateReason.CANCEL_REQUESTED)
    return _changed(asked, EventKind.CANCEL_REQUESTED, now)


def lose(task: Task, reason: StateReason, message: str, now: datetime) -> Change:
    """End a task whose worker is gone: FAILED with the reason (promise 4)."""
    error = TaskError(code=10, message=message, type=reason)
    return end(task, Finish(TaskState.FAILED, reason, error=error), ended_at=now, now=now)


def end(task: Task, finish: Finish, *, ended_at: datetime, now: datetime) -> Change:
    """Move a task to its terminal state. ``ended_at`` never lies before the start of the attempt."""
    ended = replace(
        _moved(task, finish.state),
        state_reason=finish.state_reason,
        result=finish.result,
        error=finish.error,
        ended_at=max(ended_at, task.started_at) if task.started_at else ended_at,
    )
    return _changed(ended, EventKind.STATE_CHANGED, now, result=finish.result, error=finish.error)


def _moved(task: Task, state: TaskState) -> Task:
    if state not in TRANSITIONS[task.state]:
        raise IllegalTransition(task.task_id, task.state.name, state.name)
    return replace(task, state=state, state_reason="")


def _changed(
    task: Task,
    kind: EventKind,
    now: datetime,
    *,
    output: bytes | None = None,
    result: bytes | None = None,
    error: TaskError | None = None,
) -> Change:
    """Give a task its next generation, and the event that goes with it."""
    task = replace(task, generation=task.generation + 1, updated_at=now)
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
        result=result,
        error=error,
    )
    return Change(task, event)


def _wanted(action: Action) -> str:
    return action.state.name if isinstance(action, Finish) else TaskState.WORKING.name
