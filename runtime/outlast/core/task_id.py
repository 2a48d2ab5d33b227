"""Task ids: positive 63-bit integers that their worker can make alone, and that sort by time.

From the top: 41 bits of milliseconds since 2025-01-01 UTC, 10 bits of the worker's number, 12 bits of counter. The id
is also the id of the task's span: sixteen hex digits of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: 2025-01-01T00:00:00Z in Unix milliseconds.
EPOCH_MS = 1_735_689_600_000
COUNTER_BITS = 12
WORKER_BITS = 10
#: How many workers there may be at a time.
WORKER_NUMBERS = 1 << WORKER_BITS
#: The highest id: what fits 63 bits.
MAX_TASK_ID = (1 << 63) - 1


class TaskIdSequence:
    """Makes the ids of one worker. Not thread-safe: its owner holds a lock."""

    def __init__(self, worker_number: int) -> None:
        self.worker_number = worker_number
        self._last_ms = 0
        self._counter = 0

    @property
    def worker_number(self) -> int:
        """The number that goes into the ids made from now on, 0 to 1023."""
        return self._worker_number

    @worker_number.setter
    def worker_number(self, number: int) -> None:
        self._worker_number = number % WORKER_NUMBERS

    def next(self, now_ms: int) -> int:
        """Return the next id. ``now_ms`` is the time in Unix milliseconds; a clock set back does not take ids back."""
        ms = max(now_ms - EPOCH_MS, self._last_ms, 1)
        if ms == self._last_ms:
            self._counter += 1
            if self._counter == 1 << COUNTER_BITS:  # 4,096 in one millisecond: borrow from the next one
                ms, self._counter = ms + 1, 0
        else:
            self._counter = 0
        self._last_ms = ms
        return (ms << (WORKER_BITS + COUNTER_BITS)) | (self._worker_number << COUNTER_BITS) | self._counter


def made_at(task_id: int) -> datetime:
    """Return when an id was made, by the clock of who made it, to the millisecond."""
    milliseconds = EPOCH_MS + (task_id >> (WORKER_BITS + COUNTER_BITS))
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)


def parse_task_name(name: str) -> int | None:
    """Return the id in ``tasks/{id}``, or None when the name is no task's."""
    collection, _, digits = name.partition("/")
    if collection != "tasks" or not digits.isascii() or not digits.isdecimal() or len(digits) > 19:
        return None
    task_id = int(digits)
    return task_id if 0 < task_id <= MAX_TASK_ID and str(task_id) == digits else None
