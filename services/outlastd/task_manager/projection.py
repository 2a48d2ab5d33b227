"""What is seen of a change from outside, after its commit: log lines and metrics. Its spans wait in the outbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from outlast.core.event import Change, EventKind
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.telemetry import lines
from outlast.telemetry.log import get_logger, together
from outlast.telemetry.metrics.task_metrics import TaskMetrics

#: Called with changes that are durable, in order, before anybody is answered.
Publish = Callable[[Iterable[Change]], None]


class Projector(Protocol):
    """Makes what is seen of a task from outside."""

    def started(self, task: Task) -> None:
        """Show that an attempt has begun."""
        ...

    def runs_again(self, change: Change) -> None:
        """Show that an attempt has ended, and the task waits for the next one."""
        ...

    def ended(self, task: Task) -> None:
        """Show that the task is terminal."""
        ...


class TelemetryProjector:
    """Writes the log lines."""

    def started(self, task: Task) -> None:
        """Write the line of an attempt that has begun."""
        lines.task_started(task)

    def runs_again(self, change: Change) -> None:
        """Write the line of an attempt that is followed by another one."""
        lines.task_runs_again(change)

    def ended(self, task: Task) -> None:
        """Write the line of a task that has ended."""
        lines.task_ended(task)


def show(changes: Iterable[Change], projector: Projector) -> None:
    """Show committed changes from outside, in order. Never raises."""
    moves = [change for change in changes if change.event.kind is EventKind.STATE_CHANGED]
    if moves:
        with together():
            for change in moves:
                project(change, projector)


def project(change: Change, projector: Projector) -> None:
    """Show a committed change from outside. Never raises: it is durable, whatever becomes of its lines."""
    task, event = change.task, change.event
    if event.kind is not EventKind.STATE_CHANGED:
        return
    try:
        if event.state.terminal:
            projector.ended(task)
        elif event.state is TaskState.WORKING:
            projector.started(task)
        elif event.state is TaskState.SUBMITTED and event.attempt:
            projector.runs_again(change)
    except Exception as error:
        get_logger().error("task could not be shown", taskId=str(task.task_id), error=error)


def count(changes: Sequence[Change], metrics: TaskMetrics) -> None:
    """Count committed changes. Never raises: the provider may be the program's own."""
    try:
        metrics.note(changes)
    except Exception as error:
        get_logger().error("tasks could not be counted", tasks=len(changes), error=error)
