"""A clock that goes on when it is told to: eight hours in milliseconds."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
#: Turns of the loop in which everything that can go on has gone on: the longest chain of ours is half of it.
_TURNS = 30


class FakeClock:
    """A Clock (clock.py) on which nothing happens by itself."""

    def __init__(self) -> None:
        self.seconds = 0.0
        #: How far the time of day has jumped.
        self.jumped = timedelta()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the time of day."""
        return _START + timedelta(seconds=self.seconds) + self.jumped

    def monotonic(self) -> float:
        """Return seconds since the test began."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until ``advance`` has come so far."""
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and everything happen that happens in them."""
        until = self.seconds + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            self.seconds, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)
                await settle()
        self.seconds = until
        await settle()


async def settle() -> None:
    """Let everything go on that can."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
