"""The ledger: every live task of this process, and what the task manager has not been told of them yet.

In memory, authoritative for this process, and never waiting for anything but room for output: user code calls it from
any thread and any loop. With no task manager attached (unit tests, scripts, notebooks) it tracks and queues nothing.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from outlast.context import current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Finish, Start, Submit
from outlast.core.task import Task
from outlast.core.task_id import UNNUMBERED, WORKER_NUMBERS, TaskIdSequence
from outlast.tasks.outgoing import MAX_UNANSWERED, End, Outgoing
from outlast.tasks.tracked import TrackedTask, start_of

#: Of how many of the attempts that the task manager gave to this worker it is remembered that they were begun.
MAX_REMEMBERED = 10_000
#: How long an attempt may be on its way from the record to its worker.
WAY_HERE = timedelta(seconds=1)


class Ledger(Outgoing):
    """The tasks of one process, and the operations that are to tell of them. Thread-safe."""

    def __init__(
        self, *, max_unanswered: int = MAX_UNANSWERED, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(max_unanswered=max_unanswered, monotonic=monotonic)
        #: Whether this process takes no new work from outside, and its tasks had better come to an end.
        self.draining = False
        self._live: dict[int, TrackedTask] = {}
        self._ids = TaskIdSequence(_any_number(), UNNUMBERED)
        #: The newest attempt that was given to this worker, of each task; the oldest are forgotten.
        self._given: OrderedDict[int, int] = OrderedDict()
        #: Told of tasks that time matters to.
        self._on_timed: Callable[[TrackedTask], None] | None = None
        self._on_busy: list[Callable[[bool], None]] = []
        forget = weakref.WeakMethod(self._forget_parent)  # what is registered stays so for good, the ledger need not
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    # -- tasks begin -----------------------------------------------------------------------------------

    def start(self, start: Start, *, on_cancel: Callable[[], None] | None = None) -> TrackedTask:
        """Track a task and queue its start. The caller has validated ``start``.

        Raises:
            TaskManagerUnavailable: too many operations wait for a task manager that is out of reach.
        """
        return self._make(start, start, on_cancel)

    def submit(self, start: Start, reason: str, *, on_cancel: Callable[[], None] | None = None) -> TrackedTask:
        """Track a task that waits in this process, for ``reason``, and queue that; ``begin`` begins it.

        Raises:
            TaskManagerUnavailable: see ``start``.
        """
        return self._make(start, Submit(start, reason), on_cancel)

    def begin(self, task: TrackedTask) -> bool:
        """Queue the start of a task that has waited here; False when it has ended meanwhile and must not begin."""
        with self._lock:
            if task.finish is not None:
                return False
            task.started_at, task.started_monotonic = datetime.now(UTC), self._monotonic()
            task.pending = False
            self._enqueue(task.task_id, task.started_at, task.start)
            self._time(task)
        return True

    def adopt(self, task: Task, *, on_cancel: Callable[[], None] | None = None) -> TrackedTask:
        """Track an attempt that the task manager gave to this worker, and has recorded as begun."""
        tracked = TrackedTask(
            task.task_id,
            start_of(task),
            _begun_here(task.started_at),
            self._monotonic(),
            current_invocation.get(),
            on_cancel,
            attempt=task.attempt,
            epoch=task.epoch,
            wake=self._wake_waiting,
        )
        with self._lock:
            self._given[task.task_id] = task.attempt
            self._given.move_to_end(task.task_id)
            if len(self._given) > MAX_REMEMBERED:
                self._given.popitem(last=False)
            self._enter(tracked)
            self._time(tracked)
        return tracked

    # -- tasks end -------------------------------------------------------------------------------------

    def finish(
        self, task: TrackedTask | int, finish: Finish, tell: Callable[[], None] | None = None
    ) -> TrackedTask | None:
        """End a task and queue its end; the first end wins. None when it does not live here (any more).

        By its id it is whichever attempt lives here: whoever ends code of his own names the attempt itself.

        ``tell`` is called, on whatever thread, before the end is sent and after the start was answered: what it says of
        the end stands between what the task manager says of start and end.
        """
        with self._lock:
            tracked = self._leave(task, finish)
            if tracked is None:
                return None
            # One that waits here has not begun an attempt.
            attempt = 0 if tracked.pending else tracked.attempt
            end = End(tracked.time_after(self._monotonic()), finish, attempt, tell)
            send = self._announce_end(tracked.task_id, end)
        try:
            if send:
                self._send_ends([(tracked.task_id, end)])
        finally:
            tracked.tell_ended()
        return tracked

    def drop(self, task: TrackedTask | int, finish: Finish) -> TrackedTask | None:
        """Let go of a task that was ended elsewhere or is another worker's now: as ``finish``, but queueing nothing."""
        with self._lock:
            tracked = self._leave(task, finish)
            if tracked is None:
                return None
            self._rate.forget(tracked.task_id)
        tracked.tell_ended()
        return tracked

    # -- which tasks there are -------------------------------------------------------------------------

    def get(self, task_id: int) -> TrackedTask | None:
        """Return the live task with this id, or None."""
        return self._live.get(task_id)

    def live(self) -> list[TrackedTask]:
        """Return the live tasks, the oldest first."""
        with self._lock:
            return list(self._live.values())

    def known_elsewhere(self) -> list[TrackedTask]:
        """Return the live tasks that the task manager may know of, whether it has answered or not."""
        return [task for task in self.live() if task.start_sequence <= self._queue.sealed]

    def knows(self, task_id: int) -> bool:
        """Whether the task lives here, or lived here and something of it is not answered yet."""
        with self._lock:
            return task_id in self._live or self._is_unanswered(task_id)

    def ran(self, task_id: int, attempt: int) -> bool:
        """Whether this attempt, or a later one, has been begun here: the task manager may give it more than once."""
        with self._lock:
            tracked = self._live.get(task_id)
            newest = max(self._given.get(task_id, 0), tracked.attempt if tracked is not None else 0)
            return attempt <= newest or (attempt <= 1 and self._is_unanswered(task_id))

    @property
    def size(self) -> int:
        """How many tasks live in this process."""
        return len(self._live)

    @property
    def busy(self) -> bool:
        """Whether a task lives in this process."""
        return bool(self._live)

    # -- who is told of them ---------------------------------------------------------------------------

    def on_busy(self, tell: Callable[[bool], None]) -> Callable[[], None]:
        """Have ``tell`` called, under the ledger's lock, when the first task starts and when the last one ends.

        What is returned undoes it.
        """
        with self._lock:
            self._on_busy.append(tell)

        def undo() -> None:
            with self._lock:
                self._on_busy.remove(tell)

        return undo

    def on_timed(self, tell: Callable[[TrackedTask], None]) -> Callable[[], None]:
        """Have ``tell`` called, under the lock, with each task that has a deadline or is tracked by hand, as it begins.

        Those that live already are told at once. What is returned undoes it.
        """
        with self._lock:
            self._on_timed = tell
            for task in self.live():
                if not task.pending:
                    self._time(task)

        def undo() -> None:
            with self._lock:
                self._on_timed = None

        return undo

    def attach(self, wake: Callable[[], None]) -> None:
        """Start queueing operations for a task manager; ``wake`` is called, from any thread, when there are some.

        Tasks that live already and were never recorded are queued as started now.
        """
        with self._lock:
            self._attached = wake
            self.draining = False
            for task in self.live():  # some may end meanwhile: the garbage collector runs finalisers in here
                if not task.start_sequence and not task.epoch and task.finish is None:
                    made = Submit(task.start) if task.pending else task.start
                    task.start_sequence = self._enqueue(task.task_id, task.started_at, made)

    def renumber(self, worker_number: int) -> None:
        """Use the worker number that the task manager gave for the ids from now on."""
        with self._lock:
            self._ids.renumber(worker_number)

    # -- inside ----------------------------------------------------------------------------------------

    def _make(self, start: Start, made: Start | Submit, on_cancel: Callable[[], None] | None) -> TrackedTask:
        """Track a new task and queue what makes it."""
        invocation = current_invocation.get()
        now, monotonic = datetime.now(UTC), self._monotonic()
        with self._lock:
            if not self._has_room():
                raise TaskManagerUnavailable(
                    f"{len(self._queue):,} operations wait for the task manager, which does not answer: "
                    f"{start.task_type} was not started"
                )
            task_id = self._ids.next(int(now.timestamp() * 1000))
            task = TrackedTask(task_id, start, now, monotonic, invocation, on_cancel, wake=self._wake_waiting)
            task.pending = made is not start
            self._enter(task)
            task.start_sequence = self._enqueue(task_id, now, made)
            if not task.pending:
                self._time(task)
        if invocation is not None:
            invocation.task_ids.append(task_id)
        return task

    # -- inside, with the lock held -------------------------------------------------------------------

    def _enter(self, task: TrackedTask) -> None:
        self._live[task.task_id] = task
        if len(self._live) == 1:
            self._tell_busy(True)

    def _leave(self, task: TrackedTask | int, finish: Finish) -> TrackedTask | None:
        """Have a task live no more; None when it does not."""
        tracked = self._live.get(task if isinstance(task, int) else task.task_id)
        if tracked is None or not (isinstance(task, int) or task is tracked):
            return None
        del self._live[tracked.task_id]
        tracked.finish = finish
        self._queue.room.wake(tracked.task_id)
        if not self._live:
            self._tell_busy(False)
        return tracked

    def _time(self, task: TrackedTask) -> None:
        """Set the deadline of a task as it begins, and tell whoever keeps the time."""
        timeout = task.start.timeout
        if timeout is not None:
            task.deadline = task.started_monotonic + timeout.total_seconds()
        if self._on_timed is not None and (timeout is not None or task.start.manual):
            self._on_timed(task)

    def _tell_busy(self, busy: bool) -> None:
        for tell in self._on_busy:
            tell(busy)

    def _forget_parent(self) -> None:
        """After a fork, in the child: the tasks and the stream are the parent's, and ids must not be made twice."""
        self._forget_operations()
        self._live.clear()
        self._given.clear()
        self._on_timed, self.draining = None, False
        self._ids.renumber(_any_number(), UNNUMBERED)


def _any_number() -> int:
    """Return a worker number to use until the task manager gives one."""
    return int.from_bytes(os.urandom(2)) % WORKER_NUMBERS


def _begun_here(recorded: datetime | None) -> datetime:
    """Return when an attempt that was given to this worker began, for the time of its end to be counted from.

    The way here takes a moment, which belongs to it: what the program's spans say is by the clock of this machine. More
    than a moment is the difference of two clocks: counted from the start on record, the end is right all the same.
    """
    now = datetime.now(UTC)
    return now if recorded is None or timedelta() <= now - recorded < WAY_HERE else recorded
