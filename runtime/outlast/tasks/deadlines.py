"""Deadlines: what is done about tasks that take too long, by the monotonic clock of their worker."""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from itertools import count

from outlast import limits
from outlast.tasks import taken
from outlast.tasks.ledger import Ledger
from outlast.tasks.tracked import TrackedTask
from outlast.telemetry import lines

#: Appointments beyond twice those of the last tidying, at which those of tasks that have ended are thrown away.
_TIDY = 1_000


class Deadlines:
    """Ends attempts at their deadline, and warns of tasks that are tracked by hand and stay open. One timer for all.

    On the services' loop; tasks come from any thread.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        warn_after: float = limits.MANUAL_TASK_WARNING,
    ) -> None:
        """``warn_after`` is how many seconds a task that is tracked by hand may be open before a line says so."""
        self._ledger = ledger
        self._monotonic = monotonic
        self._warn_after = warn_after
        self._loop = asyncio.get_running_loop()
        # Re-entrant, and only ever taken alone or inside the ledger's.
        self._lock = threading.RLock()
        self._order = count()
        #: A heap of when to look at which task.
        self._appointments: list[tuple[float, int, TrackedTask]] = []
        self._tidy_at = _TIDY
        self._timer: asyncio.TimerHandle | None = None
        #: When the timer is set for, or is about to be.
        self._next = float("inf")
        self._undo = ledger.on_timed(self._add)

    def close(self) -> None:
        """Look at no task any more."""
        self._undo()
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Do what is due now, and set the timer for what comes next."""
        now = self._monotonic()
        for task in self._due(now):
            self._look_at(task, now)
        with self._lock:
            self._next = self._appointments[0][0] if self._appointments else float("inf")
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(self._next - now, 0.0), self.look) if self._appointments else None

    def _add(self, task: TrackedTask) -> None:
        """On any thread, with the ledger's lock held: make the appointments of a task that begins."""
        with self._lock:
            for at in (task.deadline, task.started_monotonic + self._warn_after if task.start.manual else None):
                if at is not None:
                    heapq.heappush(self._appointments, (at, next(self._order), task))
            if len(self._appointments) > self._tidy_at:
                self._tidy()
            if self._appointments[0][0] < self._next:
                self._next = self._appointments[0][0]
                try:
                    self._loop.call_soon_threadsafe(self.look)
                except RuntimeError:  # the loop is closed: the process ends
                    return

    def _tidy(self) -> None:
        self._appointments = [each for each in self._appointments if each[2].finish is None]
        heapq.heapify(self._appointments)
        self._tidy_at = 2 * len(self._appointments) + _TIDY

    def _due(self, now: float) -> list[TrackedTask]:
        due = []
        with self._lock:
            while self._appointments and self._appointments[0][0] <= now:
                _, _, task = heapq.heappop(self._appointments)
                if task.finish is None:
                    due.append(task)
        return due

    def _look_at(self, task: TrackedTask, now: float) -> None:
        timeout = task.start.timeout
        if timeout is not None and task.deadline is not None and task.deadline <= now:
            if self._ledger.finish(task, taken.timed_out(timeout)):
                task.interrupt()  # a thread that goes on all the same is not heard any more
        else:
            hours = (now - task.started_monotonic) / 3600
            message = f"Async task is still open: {task.task_type} (ID: {task.task_id}, {hours:.1f} h)"
            lines.write("WARNING", message, task=task)
