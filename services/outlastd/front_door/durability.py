"""What the front door must know before it answers: that the tasks it speaks of are on disk (promise 1)."""

from __future__ import annotations

from typing import Protocol


class Durability(Protocol):
    """The worker stream, as the front door sees it. Used on the services' loop."""

    def available(self) -> None:
        """Return when the task manager can be reached, so that a handler may run.

        Raises:
            TaskManagerUnavailable: it is out of reach.
        """
        ...

    async def acknowledged(self, watermark: int, timeout: float) -> None:
        """Return when every operation up to ``watermark`` is durable.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        ...
