"""Task ids: positive 63-bit integers that their worker can make alone, and that sort by time.

From the top: 41 bits of milliseconds since 2025-01-01 UTC, 10 bits of the worker's number, 12 bits of counter. The id
is also the id of the task's span: sixteen hex digits of it. Others than workers choose their number by chance, and may
choose a worker's: they count elsewhere.
"""

from __future__ import annotations

from datetime import UTC, datetime

#: 2025-01-01T00:00:00Z in Unix milliseconds.
EPOCH_MS = 1_735_689_600_000
COUNTER_BITS = 12
WORKER_BITS = 10
#: How many workers there may be at a time.
WORKER_NUMBERS = 1 << WORKER_BITS
#: What a worker counts that has its number from its task manager. Nobody else may make these: it starts tasks first and
#: has them recorded then.
NUMBERED = range(2_048)
#: What a task manager counts: it hears whether an id is taken before anybody else does, and has another number then.
MANAGERS = range(2_048, 3_072)
#: What a worker counts that no task manager has given a number yet.
UNNUMBERED = range(3_072, 4_096)
#: The highest id: what fits 63 bits.
MAX_TASK_ID = (1 << 63) - 1


class TaskIdSequence:
    """Makes the ids of one worker or task manager. Not thread-safe: its owner holds a lock."""

    def __init__(self, worker_number: int, counters: range = NUMBERED) -> None:
        self._last_ms = 0
        self._counter = 0
        self.renumber(worker_number, counters)

    def renumber(self, worker_number: int, counters: range = NUMBERED) -> None:
        """Make ids of another number from now on, of which 10 bits count, and count in ``counters``."""
        self.worker_number = worker_number % WORKER_NUMBERS
        if self._counter not in counters:  # else it goes on: the same number may be given again
            self._counter = counters.start - 1
        self._counters = counters

    def next(self, now_ms: int) -> int:
        """Return the next id. ``now_ms`` is the time in Unix milliseconds; a clock set back does not take ids back."""
        ms = max(now_ms - EPOCH_MS, self._last_ms, 1)
        if ms == self._last_ms:
            self._counter += 1
            if self._counter == self._counters.stop:  # too many in one millisecond: borrow from the next one
                ms, self._counter = ms + 1, self._counters.start
        else:
            self._counter = self._counters.start
        self._last_ms = ms
        return (ms << (WORKER_BITS + COUNTER_BITS)) | (self.worker_number << COUNTER_BITS) | self._counter


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
