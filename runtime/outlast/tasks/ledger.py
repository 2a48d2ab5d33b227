"""The ledger: every live task of this process, and every operation that the task manager has not answered yet.

In memory, authoritative for this process, and never waiting for anything: user code calls it from any thread and any
loop. With no task manager attached (unit tests, scripts, notebooks) it tracks and queues nothing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from outlast.context import current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.task_id import TaskIdSequence
from outlast.core.worker import WORKER_NUMBERS
from outlast.tasks.tracked import TrackedTask

#: Unanswered operations beyond which no further task may start and no progress is kept. Ends are always kept.
MAX_UNANSWERED = 10_000
#: Bytes of unanswered output beyond which a task cannot emit: it is never dropped, so it has to be bounded.
MAX_UNANSWERED_OUTPUT = 16 * 1024 * 1024
#: Bytes up to which output that nobody has taken yet is joined into one operation.
JOINED_OUTPUT = 256 * 1024


class _End(NamedTuple):
    """How and when a task ended, and what is to be said of it before that is sent."""

    at: datetime
    finish: Finish
    tell: Callable[[], None] | None


class Ledger:
    """The tasks and the unanswered operations of one process. Thread-safe."""

    def __init__(self, *, max_unanswered: int = MAX_UNANSWERED) -> None:
        # Re-entrant: a finaliser that the garbage collector runs may finish a task while this thread holds the lock.
        self._lock = threading.RLock()
        self._live: dict[int, TrackedTask] = {}
        self._ids = TaskIdSequence(_any_number())
        self._max_unanswered = max_unanswered
        self._sequence = 0
        self._unanswered: deque[Operation] = deque()
        self._output_bytes = 0
        #: The tasks whose start has no answer yet, and the end of those that have ended meanwhile.
        self._unanswered_starts: dict[int, _End | None] = {}
        #: How many tasks have ended of which the end is not queued yet: what is said of it comes first.
        self._ends_to_send = 0
        #: Wakes the worker stream; None while no task manager is attached.
        self._attached: Callable[[], None] | None = None
        #: How many of the unanswered operations the stream has taken since the last rewind.
        self._taken = 0
        self._on_busy: list[Callable[[bool], None]] = []
        forget = weakref.WeakMethod(self._forget_parent)  # what is registered stays so for good, the ledger need not
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())

    # -- what user code and its wrappers call, on any thread -------------------------------------------

    def start(
        self, start: Start, *, on_cancel: Callable[[], None] | None = None, task_id: int | None = None
    ) -> TrackedTask:
        """Track a task and queue its start. The caller has validated ``start``.

        ``task_id`` is given where the task was submitted from outside; a new task gets an id of this worker's.

        Raises:
            TaskManagerUnavailable: too many operations wait for a task manager that is out of reach.
        """
        invocation = current_invocation.get()
        now, monotonic = datetime.now(UTC), time.monotonic()
        with self._lock:
            if len(self._unanswered) >= self._max_unanswered:
                raise TaskManagerUnavailable(
                    f"{len(self._unanswered):,} operations wait for the task manager, which does not answer: "
                    f"{start.task_type} was not started"
                )
            if task_id is None:
                task_id = self._ids.next(int(now.timestamp() * 1000))
            task = TrackedTask(task_id, start, now, monotonic, invocation, on_cancel)
            self._live[task_id] = task
            if len(self._live) == 1:
                self._tell_busy(True)
            self._enqueue(task_id, now, start)
        if invocation is not None:
            invocation.task_ids.append(task_id)
        return task

    def record(self, task: TrackedTask, action: Report | Output) -> None:
        """Queue progress or output of a live task; nothing happens once it has ended.

        With the task manager out of reach progress is left out after a while: it is only ever the newest that counts.

        Raises:
            TaskManagerUnavailable: too much output waits for a task manager that is out of reach.
        """
        with self._lock:
            if task.finish is not None:
                return
            if isinstance(action, Output):
                if self._output_bytes + len(action.chunks) > MAX_UNANSWERED_OUTPUT:
                    raise TaskManagerUnavailable(
                        f"{self._output_bytes:,} bytes of output wait for the task manager, which does not answer"
                    )
            elif len(self._unanswered) >= self._max_unanswered:
                return
            self._enqueue(task.task_id, task.time_after(time.monotonic()), action)

    def finish(self, task_id: int, finish: Finish, tell: Callable[[], None] | None = None) -> TrackedTask | None:
        """End a task and queue its end; the first end wins. None when no such task lives here.

        ``tell`` is called, on whatever thread, before the end is sent and after the start was answered: what it says of
        the end stands between what the task manager says of start and end.
        """
        with self._lock:
            task = self._live.pop(task_id, None)
            if task is None:
                return None
            task.finish = finish
            if not self._live:
                self._tell_busy(False)
            end = _End(task.time_after(time.monotonic()), finish, tell)
            self._ends_to_send += 1
            if tell is not None and task_id in self._unanswered_starts:
                self._unanswered_starts[task_id] = end
                return task
        self._send_end(task_id, end)
        return task

    def get(self, task_id: int) -> TrackedTask | None:
        """Return the live task with this id, or None."""
        return self._live.get(task_id)

    def knows(self, task_id: int) -> bool:
        """Whether the task lives here, or lived here and something of it is not answered yet."""
        with self._lock:
            return (
                task_id in self._live
                or task_id in self._unanswered_starts
                or any(operation.task_id == task_id for operation in self._unanswered)
            )

    def live(self) -> list[TrackedTask]:
        """Return the live tasks, the oldest first."""
        with self._lock:
            return list(self._live.values())

    @property
    def busy(self) -> bool:
        """Whether a task lives in this process."""
        return bool(self._live)

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

    @property
    def recorded(self) -> bool:
        """Whether a task manager is attached; without one nothing is kept."""
        return self._attached is not None

    # -- what the worker stream calls, on the services' loop -------------------------------------------

    def attach(self, wake: Callable[[], None]) -> None:
        """Start queueing operations for a task manager; ``wake`` is called, from any thread, when there are some.

        Tasks that live already are queued as started now.
        """
        with self._lock:
            self._attached = wake
            for task in self._live.values():
                self._enqueue(task.task_id, task.started_at, task.start)

    def detach(self) -> None:
        """Stop queueing: nobody will send what comes from now on."""
        with self._lock:
            self._attached = None

    def renumber(self, worker_number: int) -> None:
        """Use the worker number that the task manager gave for the ids from now on."""
        with self._lock:
            self._ids.worker_number = worker_number

    @property
    def settled(self) -> bool:
        """Whether everything is answered, and nothing is about to be sent."""
        return not self._unanswered and not self._ends_to_send

    @property
    def watermark(self) -> int:
        """The sequence of the newest operation: wait for it to be answered to know that all up to now is durable."""
        return self._sequence

    @property
    def answered(self) -> int:
        """The highest sequence up to which every operation has been answered."""
        with self._lock:
            return self._unanswered[0].sequence - 1 if self._unanswered else self._sequence

    @property
    def in_flight(self) -> int:
        """How many operations were taken and are not answered."""
        return self._taken

    def take(self, limit: int, max_bytes: int) -> list[Operation]:
        """Return the next operations not taken since the last rewind, in order.

        At most ``limit``, and of about ``max_bytes`` together unless the first alone is larger.
        """
        batch: list[Operation] = []
        size = 0
        with self._lock:
            for operation in islice(self._unanswered, self._taken, self._taken + limit):
                size += operation.size
                if batch and size > max_bytes:
                    break
                batch.append(operation)
            self._taken += len(batch)
        return batch

    def rewind(self) -> None:
        """Offer every unanswered operation again: the stream broke, and what was taken may not have arrived."""
        with self._lock:
            self._taken = 0

    def answer(self, sequence: int) -> Operation | None:
        """Drop operations up to ``sequence``: they are durable or refused for good. Returns the last one dropped."""
        dropped = None
        ends: list[tuple[int, _End]] = []
        with self._lock:
            while self._unanswered and self._unanswered[0].sequence <= sequence:
                dropped = self._unanswered.popleft()
                if isinstance(dropped.action, Output):
                    self._output_bytes -= len(dropped.action.chunks)
                elif isinstance(dropped.action, Start):
                    end = self._unanswered_starts.pop(dropped.task_id, None)
                    if end is not None:
                        ends.append((dropped.task_id, end))
                self._taken = max(self._taken - 1, 0)
        for task_id, end in ends:
            self._send_end(task_id, end)
        return dropped

    def _send_end(self, task_id: int, end: _End) -> None:
        """Say that a task has ended, then have it sent. Without the lock: what is said may take its time."""
        if end.tell is not None:
            end.tell()
        with self._lock:
            self._ends_to_send -= 1
            self._enqueue(task_id, end.at, end.finish)

    # -- inside, with the lock held -------------------------------------------------------------------

    def _enqueue(self, task_id: int, at: datetime, action: Action) -> None:
        if self._attached is None:
            return
        if isinstance(action, Output):
            self._output_bytes += len(action.chunks)
        if isinstance(action, Report | Output) and self._merged(task_id, at, action):
            return
        if isinstance(action, Start):
            self._unanswered_starts[task_id] = None
        self._sequence += 1
        self._unanswered.append(Operation(self._sequence, task_id, at, action))
        self._attached()

    def _merged(self, task_id: int, at: datetime, action: Report | Output) -> bool:
        """Fold progress (last wins) or output (joined) into the newest untaken operation, if it is this task's."""
        if len(self._unanswered) <= self._taken:
            return False
        last = self._unanswered[-1]
        if last.task_id != task_id or type(last.action) is not type(action):
            return False
        if isinstance(action, Output) and isinstance(last.action, Output):
            if len(last.action.chunks) + len(action.chunks) > JOINED_OUTPUT:
                return False
            # `[1]` and `[2]` are `[1,2]`: two brackets give way to one comma.
            action = Output(last.action.chunks[:-1] + b"," + action.chunks[1:])
            self._output_bytes -= 1
        self._unanswered[-1] = replace(last, at=at, action=action)
        return True

    def _tell_busy(self, busy: bool) -> None:
        for tell in self._on_busy:
            tell(busy)

    def _forget_parent(self) -> None:
        """After a fork, in the child: the tasks and the stream are the parent's, and ids must not be made twice."""
        self._lock = threading.RLock()
        self._live.clear()
        self._unanswered.clear()
        self._unanswered_starts.clear()
        self._attached, self._taken, self._output_bytes, self._ends_to_send = None, 0, 0, 0
        self._ids.worker_number = _any_number()


def _any_number() -> int:
    """Return a worker number to use until the task manager gives one."""
    return int.from_bytes(os.urandom(2)) % WORKER_NUMBERS
