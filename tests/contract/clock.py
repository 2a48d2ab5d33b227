"""A clock for stores, that moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Stands still between moves. Called on the store's threads."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 8, 30, 0, 123_456, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time

    def move(self, seconds: float = 1.0) -> datetime:
        """Move on and return the time."""
        self.time += timedelta(seconds=seconds)
        return self.time
