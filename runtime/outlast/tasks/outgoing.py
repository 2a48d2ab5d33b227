"""What the task manager is to be told of this process's tasks: the side of the ledger that the worker stream sees."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import NamedTuple

from outlast.core.errors import BacklogFull
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.tasks.ending import Ending
from outlast.tasks.report_rate import Held, ReportRate
from outlast.tasks.tracked import TrackedTask
from outlast.tasks.unanswered import BATCH_BYTES, BATCH_OPERATIONS, UnansweredOperations
from outlast.telemetry.log import together

#: Unanswered operations beyond which no further task may start and no progress is sent. Ends are always kept.
MAX_UNANSWERED = 10_000


class End(NamedTuple):
    """How and when a task ended, and what is to be said of it before that is sent."""

    at: datetime
    finish: Finish
    attempt: int
    tell: Callable[[], None] | None


class Outgoing:
    """The operations of one process and their order. Thread-safe; queues nothing while no task manager is attached."""

    def __init__(self, *, max_unanswered: int, monotonic: Callable[[], float]) -> None:
        # Re-entrant: a finaliser that the garbage collector runs may finish a task while this thread holds the lock.
        self._lock = threading.RLock()
        self._monotonic = monotonic
        self._max_unanswered = max_unanswered
        self._queue = UnansweredOperations()
        self._rate = ReportRate()
        #: The tasks whose start has no answer yet, and the end of those that have ended meanwhile.
        self._unanswered_starts: dict[int, End | None] = {}
        #: How many tasks have ended of which the end is not queued yet: what is said of it comes first.
        self._ends_to_send = 0
        #: Wakes the worker stream, when there is a batch to send; None while no task manager is attached.
        self._attached: Callable[[], None] | None = None

    # -- what user code and its wrappers call, on any thread -------------------------------------------

    @property
    def recorded(self) -> bool:
        """Whether a task manager is attached; without one nothing is kept."""
        return self._attached is not None

    def record(self, task: TrackedTask, action: Report | Output) -> None:
        """Queue progress or output of a live task; nothing happens once it has ended.

        Of progress only the newest counts: what comes too fast, or while too much waits already, is held back, and the
        newest of it sent later, before the task's end at the latest.

        Raises:
            BacklogFull: too much of the task's output waits for the task manager; see ``wait_for_room``.
        """
        with self._lock:
            if task.finish is not None or self._attached is None:
                return
            at = task.time_after(self._monotonic())
            if isinstance(action, Output):
                if self._queue.room.gate(task.task_id, len(action.chunks)) is not None:
                    raise BacklogFull(
                        f"{self._queue.room.of_task(task.task_id):,} bytes of output of {task.name} wait for the task "
                        "manager: use `await aemit()`, which waits until there is room for more"
                    )
                self._enqueue(task.task_id, at, action, task.attempt)
            elif not self._queue.replace_report(task.task_id, at, action, task.attempt):
                self._report(task.task_id, Held(at, action, task.attempt))

    def wait_for_room(self, task: TrackedTask, size: int) -> None:
        """Block this thread until ``size`` more bytes of output may be recorded, or the task has ended.

        Raises:
            asyncio.CancelledError: somebody has asked to cancel the task.
            BacklogFull: the garbage collector runs this code in a thread that holds the lock: it would wait for ever.
        """
        while (gate := self._gate(task, size)) is not None:
            if self._lock._is_owned():  # type: ignore[attr-defined]
                raise BacklogFull(f"output of a finaliser that runs inside of the ledger cannot wait: {task.name}")
            gate.block()

    async def room(self, task: TrackedTask, size: int) -> None:
        """Wait on the running loop as ``wait_for_room`` does in a thread."""
        while (gate := self._gate(task, size)) is not None:
            await gate.reach(asyncio.get_running_loop().create_future())

    # -- what the worker stream calls, on the services' loop -------------------------------------------

    def detach(self) -> None:
        """Stop queueing: nobody will send what comes from now on."""
        with self._lock:
            self._attached = None
            self._queue.room.wake_all()

    @property
    def settled(self) -> bool:
        """Whether everything is answered, and nothing is about to be sent."""
        return not self._queue and not self._ends_to_send

    @property
    def watermark(self) -> int:
        """The sequence of the newest operation: wait for it to be answered to know that all up to now is durable."""
        return self._queue.sequence

    @property
    def answered(self) -> int:
        """The highest sequence up to which every operation has been answered."""
        return self._queue.answered

    def next_batch(self) -> list[Operation]:
        """Take what is to be sent now; nothing while more than that is on its way (UnansweredOperations.ready)."""
        with self._lock:
            return self.take(BATCH_OPERATIONS, BATCH_BYTES) if self._queue.ready else []

    def take(self, limit: int, max_bytes: int) -> list[Operation]:
        """Take what was not taken since the last rewind, ready or not; see UnansweredOperations.take."""
        with self._lock:
            return self._queue.take(limit, max_bytes)

    def rewind(self) -> None:
        """Offer every unanswered operation again: the stream broke, and what was taken may not have arrived."""
        with self._lock:
            self._queue.rewind()

    def answer(self, sequence: int) -> Operation | None:
        """Drop operations up to ``sequence``: they are durable or refused for good. Returns the last one dropped."""
        ends: list[tuple[int, End]] = []
        with self._lock:
            dropped = self._queue.answer(sequence)
            for operation in dropped:
                if type(operation.action) is Start:
                    end = self._unanswered_starts.pop(operation.task_id, None)
                    if end is not None:
                        ends.append((operation.task_id, end))
        if ends:
            self._send_ends(ends)
        return dropped[-1] if dropped else None

    def send_held_reports(self) -> float | None:
        """Queue the reports whose turn has come; return in how many seconds to call again, None for not before a wake.

        The stream is woken when there is a first one to hold back.
        """
        with self._lock:
            now = self._monotonic()
            if self._has_room():
                for task_id, held in self._rate.due(now):
                    self._enqueue(task_id, held.at, held.report, held.attempt)
            return self._rate.next_due(now)

    # -- inside ----------------------------------------------------------------------------------------

    def _send_ends(self, ends: Sequence[tuple[int, End]]) -> None:
        """Say that tasks have ended, then have it sent. Without the lock: what is said may take its time."""
        try:
            with together() if len(ends) > 1 else nullcontext():
                for _, end in ends:
                    if end.tell is not None:
                        end.tell()
        finally:  # a log handler of the program's may call sys.exit()
            with self._lock:
                self._ends_to_send -= len(ends)
                for task_id, end in ends:
                    if (held := self._rate.forget(task_id)) is not None:
                        self._enqueue(task_id, held.at, held.report, held.attempt)
                    self._enqueue(task_id, end.at, end.finish, end.attempt)

    def _gate(self, task: TrackedTask, size: int) -> Ending | None:
        """Return what to wait on before ``size`` bytes of output can be recorded; None when there is room."""
        with self._lock:
            if task.finish is not None or self._attached is None:
                return None
            gate = self._queue.room.gate(task.task_id, size)
        # After the gate was set up: a cancel from now on opens it.
        if gate is not None and task.cancel_requested:
            raise asyncio.CancelledError(f"{task.name} was asked to cancel")
        return gate

    def _wake_waiting(self, task_id: int) -> None:
        with self._lock:
            self._queue.room.wake(task_id)

    # -- inside, with the lock held -------------------------------------------------------------------

    def _has_room(self) -> bool:
        return len(self._queue) < self._max_unanswered

    def _announce_end(self, task_id: int, end: End) -> bool:
        """Whether the end of a task can be sent now; else it follows the answer to its start."""
        self._ends_to_send += 1
        if end.tell is None or task_id not in self._unanswered_starts:
            return True
        self._unanswered_starts[task_id] = end
        return False

    def _is_unanswered(self, task_id: int) -> bool:
        return task_id in self._unanswered_starts or self._queue.has(task_id)

    def _enqueue(self, task_id: int, at: datetime, action: Action, attempt: int = 0) -> int:
        """Queue an action, if there is a task manager; return the sequence of its operation, else 0."""
        if self._attached is None:
            return 0
        if type(action) is Start:
            self._unanswered_starts[task_id] = None
        sequence = self._queue.add(task_id, at, action, attempt)
        if self._queue.ready:  # else whoever answers what is on its way looks for the next batch
            self._attached()
        return sequence

    def _report(self, task_id: int, held: Held) -> None:
        """Queue a report, or hold it back until there is a token, and room."""
        if self._has_room() and self._rate.allows(task_id, self._monotonic()):
            self._rate.release(task_id)  # it is older
            self._enqueue(task_id, held.at, held.report, held.attempt)
        elif self._rate.hold(task_id, held) and self._attached is not None:
            self._attached()

    def _forget_operations(self) -> None:
        """After a fork, in the child: the stream is the parent's."""
        self._lock = threading.RLock()
        self._queue, self._rate = UnansweredOperations(), ReportRate()
        self._unanswered_starts.clear()
        self._attached, self._ends_to_send = None, 0
