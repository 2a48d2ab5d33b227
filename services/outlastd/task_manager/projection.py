"""What is seen of a change from outside, after its commit: the log lines and the span."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from outlast.core.event import Change, EventKind
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.telemetry import lines, task_span
from outlast.telemetry.log import get_logger

#: Called with changes that are durable, in order, before anybody is answered.
Publish = Callable[[Iterable[Change]], None]


class Projector(Protocol):
    """Makes what is seen of a task from outside: its lines and its span."""

    def started(self, task: Task) -> None:
        """Show that an attempt has begun."""
        ...

    def ended(self, task: Task) -> None:
        """Show that the task is terminal."""
        ...


class TelemetryProjector:
    """Writes the log lines and exports the span."""

    def started(self, task: Task) -> None:
        """Write the line of an attempt that has begun."""
        lines.task_started(task)

    def ended(self, task: Task) -> None:
        """Write the line of a task that has ended, and export its span."""
        lines.task_ended(task)
        task_span.export(task)


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
    except Exception as error:
        get_logger().error("task could not be shown", taskId=str(task.task_id), error=error)
