"""Clocks that tests set: time passes when they say so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A monotonic clock and a wall clock, which part when the wall clock jumps."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self._wall = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        """Return the monotonic time, seconds."""
        return self.seconds

    def now(self) -> datetime:
        """Return the time of day."""
        return self._wall

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._wall += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock on, as when a machine has slept."""
        self._wall += timedelta(seconds=seconds)
