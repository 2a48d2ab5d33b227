"""Whether the task manager can be relied on; the log has a line when it is lost, and one when it is back."""

from __future__ import annotations

import asyncio

from outlast.core.errors import TaskManagerUnavailable
from outlast.telemetry.log import get_logger


class Reach:
    """The outage of a task manager, if there is one. Lives on the services' loop."""

    def __init__(self, address: str) -> None:
        """``address`` is for messages only."""
        self._address = address
        self._log = get_logger()
        #: Why the task manager cannot be relied on now; None while it can.
        self.outage: str | None = "it has not answered yet"
        self._told = False
        #: After a break: the watermark at the welcome. Until it is answered the outage goes on.
        self._recovers_at: int | None = None
        self._ready = asyncio.Event()

    def check(self) -> None:
        """Raise TaskManagerUnavailable during an outage; the message names the task manager and why."""
        if self.outage is not None:
            raise TaskManagerUnavailable(f"the task manager at {self._address} is out of reach: {self.outage}")

    async def ready(self) -> None:
        """Return when there is no outage."""
        await self._ready.wait()

    def welcomed(self, watermark: int) -> None:
        """Note that the task manager is there: the outage ends when everything up to ``watermark`` is answered."""
        self._recovers_at = watermark

    def answered(self, sequence: int) -> None:
        """Note that everything up to ``sequence`` is answered."""
        if self.outage is None or self._recovers_at is None or sequence < self._recovers_at:
            return
        self.outage = None
        self._ready.set()
        if self._told:
            self._told = False
            self._log.info("task manager is back", address=self._address)

    def lost(self, reason: str) -> None:
        """Note that the stream is broken, or could not be opened."""
        self.outage, self._recovers_at = reason, None
        self._ready.clear()
        if not self._told:
            self._told = True
            self._log.warning("task manager is out of reach", address=self._address, reason=reason)
