"""Notices workers whose lease has run out (promise 4), and nobody whose signs of life could not have been heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from outlast.core.errors import StoreUnavailable
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.uncut import uncut

#: Seconds between two looks at the leases.
TICK_SECONDS = 1.0
#: Seconds beyond a lease that have to be heard: the last sign of life may still be on its way to the disk.
MARGIN_SECONDS = 1.0
#: Seconds by which a look may be late, or the store's clock may part from the monotonic one, before it counts.
TOLERANCE_SECONDS = 1.0


class Reaper:
    """Takes leases that have run out, with the tasks that hang on them.

    It acts only on time in which it could have heard: after its own start, an outage of the store, a jump of the clock
    (a laptop slept) and a look of its own that came too late, it listens for a full lease and a second first. So after
    an outage that was longer than the lease every healthy worker has the time to renew, and none is lost.
    """

    def __init__(
        self, store: TaskStore, publish: Publish, *, spare: frozenset[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``spare`` are workers of this very process; ``clock`` is monotonic, in seconds."""
        self._store = store
        self._publish = publish
        self._spare = spare
        self._clock = clock
        self._hearing = store.policy.lease_ttl.total_seconds() + MARGIN_SECONDS
        #: Since when signs of life can have been heard, without a gap.
        self._since = clock()
        self._looked_at = self._since
        #: How far the store's clock was ahead of ours when it was last asked.
        self._ahead: timedelta | None = None

    def deafened(self) -> None:
        """Begin to listen anew: signs of life may have come that were not recorded."""
        self._since = self._clock()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.look()

    async def look(self) -> int:
        """Look once; return how many tasks were taken from their workers."""
        late = self._clock() - self._looked_at > TICK_SECONDS + TOLERANCE_SECONDS
        try:
            as_of = await self._read_clock()
            if late:
                self.deafened()
            self._looked_at = self._clock()
            if self._clock() - self._since < self._hearing:
                return 0
            # Leases that have run out by the time just read, and not by the time at which the store gets to it: it may
            # be stopped in between, and would wake up to leases that nobody could renew.
            return await uncut(self._expire(as_of))
        except StoreUnavailable as error:
            self._looked_at = self._clock()
            self.deafened()
            get_logger().warning("leases could not be looked at", reason=error.message)
            return 0

    async def _expire(self, as_of: datetime) -> int:
        lost = 0
        while changes := await self._store.expire_workers(self._spare, as_of):
            self._publish(changes)
            lost += len(changes)
        if lost:
            get_logger().warning("workers were lost", tasks=lost)
        return lost

    async def _read_clock(self) -> datetime:
        """Return the time by the store's clock; begin to listen anew when it has jumped, or took long to come."""
        before = self._clock()
        time = await self._store.clock()
        after = self._clock()
        ahead = time - datetime.fromtimestamp((before + after) / 2, UTC)
        tolerance = timedelta(seconds=TOLERANCE_SECONDS)
        if after - before > TOLERANCE_SECONDS or (self._ahead is not None and abs(ahead - self._ahead) > tolerance):
            self.deafened()
        self._ahead = ahead
        return time
