"""The time, as something that a test can hand in."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and a way to wait for another."""

    def now(self) -> datetime:
        """Return the time of day, in UTC. It may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until ``monotonic`` has gone on by so much."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)
