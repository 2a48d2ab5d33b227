"""Who waits until operations are durable: promise 1 as a watermark, no attribution."""

from __future__ import annotations

import asyncio
import heapq
import math
from itertools import count


class Acknowledgements:
    """Waiters for a watermark. Lives on the services' loop; not thread-safe."""

    def __init__(self) -> None:
        self._answered = 0
        #: A heap of watermarks, with when their wait is over and who waits.
        self._waiting: list[tuple[int, int, float, asyncio.Future[bool]]] = []
        self._order = count()
        #: One timer for all waits, and what it is set for: nearly every wait ends long before its time is over.
        self._timer: asyncio.Handle | None = None
        self._look_at = math.inf

    def advance(self, answered: int) -> None:
        """Note that every operation up to ``answered`` is answered; wakes whoever waited for that."""
        self._answered = max(self._answered, answered)
        while self._waiting and self._waiting[0][0] <= self._answered:
            future = heapq.heappop(self._waiting)[-1]
            if not future.done():
                future.set_result(True)

    async def reached(self, watermark: int, timeout: float | None) -> None:
        """Return when every operation up to ``watermark`` is answered; ``timeout`` None waits for as long as it takes.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        if watermark <= self._answered:
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        until = math.inf if timeout is None else loop.time() + timeout
        heapq.heappush(self._waiting, (watermark, next(self._order), until, future))
        if until < self._look_at:
            self._set_timer(until)
        if not await future:
            raise TimeoutError

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._look_at = at
        self._timer = None if math.isinf(at) else asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        """End the waits whose time is over, and look again when that of the next one may be."""
        now = asyncio.get_running_loop().time()
        for _, _, until, future in self._waiting:
            if until <= now and not future.done():
                future.set_result(False)
        self._waiting = [each for each in self._waiting if not each[-1].done()]
        heapq.heapify(self._waiting)
        self._set_timer(min((until for _, _, until, _ in self._waiting), default=math.inf))
