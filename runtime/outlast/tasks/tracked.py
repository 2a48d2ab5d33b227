"""A task that lives in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from outlast.context import Invocation
from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState


@dataclass(eq=False)
class TrackedTask:
    """A live task, or one that has just ended. Made by the ledger; read from any thread."""

    task_id: int
    start: Start
    #: Wall-clock start; the end is this plus the monotonic time that passed, so that a clock set back shows nowhere.
    started_at: datetime
    started_monotonic: float
    #: The invocation that started it; None outside of one.
    invocation: Invocation | None = None
    #: Reaches the user's code when somebody asks to cancel: called once at most, from any thread. None: a manual task.
    on_cancel: Callable[[], None] | None = None
    #: Set once somebody has asked to cancel the task.
    cancel_requested: bool = False
    #: How it ended; None while it lives.
    finish: Finish | None = None

    @property
    def name(self) -> str:
        """The resource name, ``tasks/{id}``."""
        return f"tasks/{self.task_id}"

    @property
    def task_type(self) -> str:
        """The task type."""
        return self.start.task_type

    @property
    def state(self) -> TaskState:
        """WORKING while it lives, then how it ended."""
        return self.finish.state if self.finish else TaskState.WORKING

    def time_after(self, monotonic: float) -> datetime:
        """Return the wall-clock time at ``monotonic`` (seconds of time.monotonic), counted from the start."""
        return self.started_at + timedelta(seconds=max(monotonic - self.started_monotonic, 0.0))

    def cancel(self) -> None:
        """Ask the task to stop; the first call reaches the user's code, later ones do nothing. From any thread."""
        if self.finish is None:
            self.interrupt()

    def interrupt(self) -> None:
        """Have the user's code stop, also when the task has been ended already; once. From any thread."""
        if self.cancel_requested:
            return
        self.cancel_requested = True
        if self.on_cancel is not None:
            self.on_cancel()
