"""The lifecycle: what each operation, request and lapse of time makes of a task. The one place that builds a Change.

Every function takes the task as it stands (or None), and the time by the store's clock, and returns the change or
raises; nothing happens when it raises.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from outlast.core.another_attempt import may_run_again
from outlast.core.errors import IllegalTransition, LeaseLost, TaskExists, TaskNotFound
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start, Submit
from outlast.core.policy import DEFAULT_BACKOFF, MAX_BACKOFF, Policy
from outlast.core.state import TRANSITIONS, StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.core.value import evolve
from outlast.core.worker import Worker

# google.rpc.Code
_CANCELLED, _DEADLINE_EXCEEDED, _ABORTED = 1, 4, 10

#: Why a worker may have ended a task that it had not begun, which another one can begin.
_GIVEN_BACK = frozenset({StateReason.WORKER_LOST, StateReason.WORKER_SHUTDOWN})


def apply_operation(task: Task | None, operation: Operation, worker: Worker, now: datetime, policy: Policy) -> Change:
    """Apply a worker's operation.

    Raises:
        TaskNotFound: the task does not exist and the operation does not make it.
        TaskExists: it names an id that another worker, or another operation, has made.
        LeaseLost: the task is not held under the worker's epoch, or is at another attempt (promise 5).
        IllegalTransition: the task's state does not allow it.
    """
    action = operation.action
    if isinstance(action, Submit):
        if task is not None:
            raise TaskExists(task.task_id)
        made = _made(operation, action.start, worker, now)
        return _changed(
            made,
            EventKind.STATE_CHANGED,
            now,
            state_reason=action.state_reason,
            worker_id=worker.worker_id,
            epoch=worker.epoch,
        )
    if isinstance(action, Start):
        return _start(task, operation, action, worker, now)
    if task is None:
        raise TaskNotFound(operation.task_id)
    if task.epoch != worker.epoch or task.worker_id != worker.worker_id:
        raise LeaseLost(task.task_id, worker.epoch, task.epoch)
    if operation.attempt and operation.attempt != task.attempt:
        # Its worker had lost it and was given it again, and this was on its way since before that.
        raise LeaseLost(task.task_id, worker.epoch, task.epoch, attempt=operation.attempt)
    if task.state.terminal:
        raise IllegalTransition(task.task_id, task.state.name, _wanted(action))
    if isinstance(action, Report):
        return _changed(task, EventKind.PROGRESSED, now, progress=action.progress)
    if isinstance(action, Output):
        return _changed(task, EventKind.OUTPUT, now, output=action.chunks)
    return _end_attempt(task, action, operation.at, now, policy)


def submit(task: Task, now: datetime, policy: Policy) -> Change:
    """Record a new task that waits for a worker (CreateTask)."""
    new = evolve(task, generation=0, state=TaskState.SUBMITTED, created_at=now)
    return _changed(new, EventKind.STATE_CHANGED, now, queue_until=_queue_until(task, now, policy))


def claim(task: Task, worker: Worker, now: datetime) -> Change:
    """Give a submitted task to a worker, which is told to begin the next attempt.

    Raises:
        IllegalTransition: the task does not wait for a worker.
    """
    if task.worker_id:
        raise IllegalTransition(task.task_id, task.state.name, TaskState.WORKING.name)
    return _begin(task, worker, started_at=now, now=now)


def request_cancel(
    task: Task, now: datetime, policy: Policy, *, grace: timedelta, force: bool = False
) -> Change | None:
    """Record that somebody asked to cancel; None when somebody already had, as strictly as that.

    A task that no worker has begun is CANCELED at once: there is no code to reach. A manual task, and with ``force``
    any, is ended ``grace`` after the request when it has not ended by itself (``end_overdue``).

    Raises:
        IllegalTransition: the task is terminal.
    """
    if task.state.terminal:
        raise IllegalTransition(task.task_id, task.state.name, TaskState.CANCELED.name)
    if task.state is TaskState.SUBMITTED:
        requested = evolve(task, cancel_requested_at=now)
        message = "canceled before its next attempt" if task.attempt else "canceled before it was started"
        return _cancel(requested, StateReason.CANCEL_REQUESTED, message, now, policy)
    until = now + grace if force or task.manual else None
    if task.cancel_requested_at is not None and (
        until is None or (task.cancel_until is not None and task.cancel_until <= until)
    ):
        return None
    return _changed(
        task,
        EventKind.CANCEL_REQUESTED,
        now,
        cancel_requested_at=task.cancel_requested_at or now,
        cancel_until=until,
        state_reason=StateReason.CANCEL_REQUESTED,
    )


def end_overdue(task: Task, now: datetime, policy: Policy) -> Change | None:
    """End a task that has waited too long, for a worker or for its code to follow a cancel; None when it has not."""
    if task.state.terminal:
        return None
    if task.queue_until is not None and task.queue_until <= now:
        message = f"no worker of agent {task.agent} has started it in time"
        error = TaskError(_DEADLINE_EXCEEDED, message, StateReason.QUEUE_TIMEOUT)
        finish = Finish(TaskState.FAILED, StateReason.QUEUE_TIMEOUT, error=error)
        return end(task, finish, ended_at=now, now=now, policy=policy)
    if task.cancel_until is not None and task.cancel_until <= now:
        if task.manual:
            return _cancel(task, StateReason.CANCEL_REQUESTED, "canceled on request", now, policy)
        message = "did not follow the request to cancel in time, and was ended by force"
        return _cancel(task, StateReason.CANCEL_FORCED, message, now, policy)
    return None


def lose(task: Task, reason: StateReason, message: str, now: datetime, policy: Policy) -> Change:
    """Take a task from a worker that is gone: it runs again if its policy says so, else it FAILED (promise 4).

    One that was asked to cancel is CANCELED instead of running again; one that the worker had not begun and whose
    arguments are on record waits for another worker.
    """
    error = TaskError(_ABORTED, message, reason)
    if task.cancel_requested_at is not None and task.attempt < task.max_attempts:
        return _cancel(task, StateReason.CANCEL_REQUESTED, f"canceled on request: {message}", now, policy)
    return _end_attempt(task, Finish(TaskState.FAILED, reason, error=error), now, now, policy)


def end(task: Task, finish: Finish, *, ended_at: datetime, now: datetime, policy: Policy) -> Change:
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
        expires_at=None if policy.retention is None else now + policy.retention,
        next_attempt_at=None,
        queue_until=None,
        cancel_until=None,
    )


#: What a task has that waits for any worker.
_NOBODYS: dict[str, Any] = {"state": TaskState.SUBMITTED, "state_reason": "", "worker_id": "", "epoch": 0}


def _made(operation: Operation, start: Start, worker: Worker, now: datetime) -> Task:
    """Return the task that a worker makes, before its first event."""
    return Task(
        task_id=operation.task_id,
        task_type=start.task_type,
        agent=worker.agent,
        state=TaskState.SUBMITTED,
        session_id=start.session_id,
        request_id=start.request_id,
        created_by=(worker.worker_id, operation.sequence),
        max_attempts=start.max_attempts,
        metadata=start.metadata,
        input=start.input,
        trace_context=start.trace_context,
        labels=start.labels,
        timeout=start.timeout,
        backoff=start.backoff,
        manual=start.manual,
        created_at=now,
    )


def _start(task: Task | None, operation: Operation, action: Start, worker: Worker, now: datetime) -> Change:
    """Begin the first attempt of a new task, or of one that the worker submitted to itself."""
    if task is None:
        task = _made(operation, action, worker, now)
    elif task.created_by[0] != worker.worker_id or task.task_type != action.task_type:
        raise TaskExists(task.task_id)  # somebody else's id, never merged
    elif (task.worker_id, task.epoch) != (worker.worker_id, worker.epoch):
        raise LeaseLost(task.task_id, worker.epoch, task.epoch)
    elif task.attempt:
        raise TaskExists(task.task_id)
    return _begin(task, worker, started_at=operation.at, now=now)


def _begin(task: Task, worker: Worker, *, started_at: datetime, now: datetime) -> Change:
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
        started_at=started_at,
        next_attempt_at=None,
        queue_until=None,
    )


def _end_attempt(task: Task, finish: Finish, ended_at: datetime, now: datetime, policy: Policy) -> Change:
    """End an attempt, and the task with it unless it runs again."""
    if may_run_again(task, finish):
        return _run_again(task, StateReason(finish.state_reason or StateReason.BACKOFF), finish.error, now, policy)
    if task.state is TaskState.SUBMITTED and task.input is not None and finish.state_reason in _GIVEN_BACK:
        return _changed(task, EventKind.STATE_CHANGED, now, **_NOBODYS, queue_until=_queue_until(task, now, policy))
    return end(task, finish, ended_at=ended_at, now=now, policy=policy)


def _run_again(task: Task, reason: StateReason, error: TaskError | None, now: datetime, policy: Policy) -> Change:
    """Have a task wait for its next attempt; its event carries what went wrong with the last one."""
    _check_move(task, TaskState.SUBMITTED)
    # A worker that is told to stop is no reason to wait: another one is there, or comes at once.
    wait = timedelta() if reason is StateReason.WORKER_SHUTDOWN else backoff_after(task)
    fields = {**_NOBODYS, "state_reason": reason, "next_attempt_at": now + wait}
    change = _changed(task, EventKind.STATE_CHANGED, now, **fields, queue_until=_queue_until(task, now + wait, policy))
    return Change(change.task, evolve(change.event, error=error))


def backoff_after(task: Task) -> timedelta:
    """Return the wait after the newest attempt: the task's backoff, doubled with each one up to an hour."""
    first = DEFAULT_BACKOFF if task.backoff is None else task.backoff
    doubled: timedelta = first * 2 ** min(task.attempt - 1, 20)
    return min(doubled, max(first, MAX_BACKOFF))


def _cancel(task: Task, reason: StateReason, message: str, now: datetime, policy: Policy) -> Change:
    error = TaskError(_CANCELLED, message, reason)
    return end(task, Finish(TaskState.CANCELED, reason, error=error), ended_at=now, now=now, policy=policy)


def _queue_until(task: Task, begin: datetime, policy: Policy) -> datetime | None:
    timeout = policy.queue_timeout if task.queue_timeout is None else task.queue_timeout
    return None if timeout is None else begin + timeout


def _check_move(task: Task, state: TaskState) -> None:
    if state not in TRANSITIONS[task.state]:
        raise IllegalTransition(task.task_id, task.state.name, state.name)


def _changed(task: Task, kind: EventKind, now: datetime, *, output: bytes | None = None, **fields: Any) -> Change:
    """Give a task its new fields and its next generation, and make the event that goes with it."""
    fields["generation"] = task.generation + 1
    fields["updated_at"] = now
    task = evolve(task, **fields)
    # By position: there is one for each operation, and names cost half as much again.
    event = TaskEvent(
        task.task_id,
        task.generation,
        kind,
        now,
        task.state,
        task.state_reason,
        task.attempt,
        task.progress if kind is EventKind.PROGRESSED else None,
        output,
        task.result,
        task.error,
    )
    return Change(task, event)


def _wanted(action: Action) -> str:
    return action.state.name if isinstance(action, Finish) else TaskState.WORKING.name
