"""How often a task's progress becomes an event: a few at once, then so many a second, and the newest in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from outlast.core.operation import Report

#: Reports of one task that may go out at once after a pause, and a second from then on.
BURST = 20
PER_SECOND = 20.0

_INTERVAL = 1 / PER_SECOND


class Held(NamedTuple):
    """A report that waits for its turn."""

    at: datetime
    report: Report
    #: Of the task that reports.
    attempt: int = 0


class ReportRate:
    """A token bucket for each task, and the newest report of those that have run dry. Not thread-safe.

    A bucket is one number: the time at which it would be full again.
    """

    def __init__(self) -> None:
        self._full_at: dict[int, float] = {}
        self._held: dict[int, Held] = {}

    def allows(self, task_id: int, now: float) -> bool:
        """Take a token of a task; False when it has none."""
        if self._next_token(task_id) > now:
            return False
        self._full_at[task_id] = max(self._full_at.get(task_id, now), now) + _INTERVAL
        return True

    def hold(self, task_id: int, held: Held) -> bool:
        """Keep a report in the place of the one that is held; whether nothing was held before, of any task."""
        first = not self._held
        self._held[task_id] = held
        return first

    def release(self, task_id: int) -> Held | None:
        """Return what is held of a task and hold it no more."""
        return self._held.pop(task_id, None)

    def due(self, now: float) -> Iterator[tuple[int, Held]]:
        """Give what has its token by now, and hold it no more. Tasks may be forgotten meanwhile."""
        for task_id in list(self._held):
            if task_id in self._held and self.allows(task_id, now):
                yield task_id, self._held.pop(task_id)

    def next_due(self, now: float) -> float | None:
        """Return in how many seconds to look for what is due; None when nothing is held."""
        if not self._held:
            return None
        return max(min(map(self._next_token, list(self._held))) - now, _INTERVAL)

    def forget(self, task_id: int) -> Held | None:
        """Drop what is known of a task, which ends, and return what is held of it."""
        self._full_at.pop(task_id, None)
        return self.release(task_id)

    def _next_token(self, task_id: int) -> float:
        return self._full_at.get(task_id, 0.0) - (BURST - 1) * _INTERVAL
