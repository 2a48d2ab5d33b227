"""What the front door must know before it answers: that the tasks it speaks of are on disk (promise 1)."""

from __future__ import annotations

from typing import Protocol

from outlast.core.errors import TaskManagerUnavailable
from outlastd.front_door.request import Refusal


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


def check_available(durability: Durability) -> None:
    """Let a handler run, or raise Refusal with 503: its tasks could not be kept."""
    try:
        durability.available()
    except TaskManagerUnavailable as error:
        raise Refusal(503, error.message, code=str(error.code)) from None
