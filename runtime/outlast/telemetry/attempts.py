"""The attempts of a task, as its events tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError
from outlast.core.task_id import made_at
from outlast.core.value import value


@value(frozen=True, slots=True)
class Attempt:
    """One run of a task, from its begin to its end."""

    #: Counted from 1.
    number: int
    began_at: datetime
    ended_at: datetime
    #: How it ended: FAILED too when the task ran again.
    state: TaskState
    state_reason: str
    error: TaskError | None


def attempts_of(task: Task, events: Iterable[TaskEvent]) -> list[Attempt]:
    """Return the attempts of a terminal task that began, in order.

    Times are those of the record where it has them, by the clock of the worker, else those of the events. The first
    attempt of a task that its worker began at once did so when it made the id: its event came a moment later, and what
    the program did meanwhile belongs to it. ``events`` are its STATE_CHANGED events, in order.
    """
    begins: dict[int, TaskEvent] = {}
    ends: dict[int, TaskEvent] = {}
    for event in events:
        if event.kind is not EventKind.STATE_CHANGED or not event.attempt:
            continue
        if event.state is TaskState.WORKING:
            begins.setdefault(event.attempt, event)
        elif event.state is TaskState.SUBMITTED or event.state.terminal:
            # A task that ends while it waits for its next attempt does not end the last one once more.
            ends.setdefault(event.attempt, event)
    return [_attempt(task, begin, ends[number]) for number, begin in begins.items() if number in ends]


def _attempt(task: Task, begin: TaskEvent, end: TaskEvent) -> Attempt:
    newest = begin.attempt == task.attempt
    recorded_with_it = begin.generation == 1
    began_at = min(made_at(task.task_id), begin.at) if recorded_with_it else begin.at
    return Attempt(
        number=begin.attempt,
        began_at=(task.started_at if newest else None) or began_at,
        ended_at=(task.ended_at if end.state.terminal else None) or end.at,
        state=end.state if end.state.terminal else TaskState.FAILED,
        state_reason=end.state_reason,
        error=end.error,
    )
