"""The time by the database's clock, told without asking the database."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from outlastd.stores.rows import microseconds

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Seconds: of two answers the one that came faster tells the time better, for this long.
_KEPT = 10.0
#: Seconds that the estimate may lie ahead of the next one without being set back.
_STEADY = 1.0


class ServerClock:
    """Estimates the database's clock from what it said last, and from how much time has passed here since."""

    def __init__(self, now: Callable[[], datetime] | None = None) -> None:
        """``now`` replaces all of it, for tests."""
        self._now = now
        self._offset = time.time() - time.monotonic()
        self._width = float("inf")
        self._sampled = float("-inf")
        self._last = float("-inf")

    @property
    def injected(self) -> int | None:
        """The time as the database is to take it, in microseconds; None when it goes by its own clock."""
        return None if self._now is None else microseconds(self._now())

    def sample(self, said: int, asked: float) -> datetime:
        """Take note of what the database's clock said, in microseconds, when asked at ``asked`` (time.monotonic)."""
        answered = time.monotonic()
        width = answered - asked
        if width <= self._width or answered - self._sampled > _KEPT:
            self._width, self._sampled = width, answered
            self._offset = said / 1e6 - (asked + answered) / 2
        return _UNIX_EPOCH + timedelta(microseconds=said)

    def now(self) -> datetime:
        """Return the time; it goes back only when the database's clock was set back."""
        if self._now is not None:
            return self._now()
        estimate = time.monotonic() + self._offset
        if 0 < self._last - estimate < _STEADY:
            estimate = self._last
        self._last = estimate
        return _UNIX_EPOCH + timedelta(seconds=estimate)
