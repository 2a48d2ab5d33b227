"""A task that lives in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from outlast.context import Invocation
from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.core.task import Task


@dataclass(eq=False, slots=True)
class TrackedTask:
    """A live attempt of a task, or one that has just ended. Made by the ledger; read from any thread."""

    task_id: int
    start: Start
    #: Wall-clock start; the end is this plus the monotonic time that passed, so that a clock set back shows nowhere.
    started_at: datetime
    started_monotonic: float
    #: The invocation that started it; None outside of one.
    invocation: Invocation | None = None
    #: Reaches the user's code when somebody asks to cancel: called once at most, from any thread. None: a manual task.
    on_cancel: Callable[[], None] | None = None
    #: Which attempt of the task it is, from 1.
    attempt: int = 1
    #: The epoch under which the task manager gave it to this worker; 0 for a task that was started here.
    epoch: int = 0
    #: The sequence of the operation that made the task; 0 for one that the task manager gave, and for unrecorded ones.
    start_sequence: int = 0
    #: Whether it waits in this process until there is room to begin.
    pending: bool = False
    #: When it has taken too long, by time.monotonic; None for never.
    deadline: float | None = None
    #: Set once somebody has asked to cancel the task.
    cancel_requested: bool = False
    #: Wakes the threads and coroutines that wait in the task's name when somebody asks to cancel it. The ledger's.
    wake: Callable[[int], None] | None = None
    #: How it ended; None while it lives.
    finish: Finish | None = None
    #: Who wants to know that it has ended; a list, to which any thread may append.
    listeners: list[Callable[[], None]] = field(default_factory=list)

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
        """SUBMITTED while it waits, WORKING while its code runs, then how it ended."""
        if self.finish is not None:
            return self.finish.state
        return TaskState.SUBMITTED if self.pending else TaskState.WORKING

    @property
    def may_run_elsewhere(self) -> bool:
        """Whether another worker may have the task once this one has lost its lease (lifecycle.lose)."""
        return self.start.input is not None if self.pending else self.attempt < self.start.max_attempts

    def time_after(self, monotonic: float) -> datetime:
        """Return the wall-clock time at ``monotonic`` (seconds of time.monotonic), counted from the start."""
        return self.started_at + timedelta(seconds=max(monotonic - self.started_monotonic, 0.0))

    def cancel(self) -> None:
        """Ask the task to stop; the first call reaches the user's code, later ones do nothing. From any thread."""
        if self.finish is None:
            self.interrupt()

    def when_ended(self, tell: Callable[[], None]) -> None:
        """Have ``tell`` called, from any thread, once the task has ended: perhaps twice, and at once if it has."""
        if self.finish is None:
            self.listeners.append(tell)
        if self.finish is not None:  # by now
            tell()

    def tell_ended(self) -> None:
        """Call whoever wants to know that the task has ended. By the ledger, without its lock."""
        # Let go of them: they hold on to the task, too.
        listeners, self.listeners = self.listeners, []
        for tell in listeners:
            tell()

    def interrupt(self) -> None:
        """Have the user's code stop, also when the task has been ended already; once. From any thread."""
        if self.cancel_requested:
            return
        self.note_cancel()
        on_cancel = self.on_cancel  # once: its code may end meanwhile
        if on_cancel is not None:
            on_cancel()

    def note_cancel(self) -> None:
        """Note that somebody has asked to cancel the task and reaches its code by himself. From any thread."""
        self.cancel_requested = True
        if self.wake is not None:
            self.wake(self.task_id)


def start_of(task: Task) -> Start:
    """Return what began a task that is on record."""
    return Start(
        task.task_type,
        session_id=task.session_id,
        request_id=task.request_id,
        metadata=task.metadata,
        input=task.input,
        trace_context=task.trace_context,
        labels=task.labels,
        max_attempts=task.max_attempts,
        timeout=task.timeout,
        backoff=task.backoff,
        manual=task.manual,
    )
