"""A clock that goes on when it is told to."""

from __future__ import annotations


class Clock:
    """Seconds, which stand still until a test sets ``now``."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now
