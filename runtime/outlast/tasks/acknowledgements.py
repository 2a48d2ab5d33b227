"""Who waits until operations are durable: promise 1 as a watermark, no attribution."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class Acknowledgements:
    """Waiters for a watermark. Lives on the services' loop; not thread-safe."""

    def __init__(self) -> None:
        self._answered = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    def advance(self, answered: int) -> None:
        """Note that every operation up to ``answered`` is answered; wakes whoever waited for that."""
        self._answered = max(self._answered, answered)
        while self._waiting and self._waiting[0][0] <= self._answered:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)

    async def reached(self, watermark: int, timeout: float | None) -> None:
        """Return when every operation up to ``watermark`` is answered; ``timeout`` None waits for as long as it takes.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        if watermark <= self._answered:
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (watermark, next(self._order), future))
        async with asyncio.timeout(timeout):
            await future
