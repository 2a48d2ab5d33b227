"""The waits of whoever tries something again and again: a broken stream, a watch, a question."""

from __future__ import annotations

import asyncio
import random

#: Seconds before it is tried again: at first, and at the most.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


class Pauses:
    """How long to wait before trying again: longer each time, and never as long as everybody else."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def over(self) -> None:
        """Begin anew: it works again."""
        self._next = FIRST_PAUSE

    async def pause(self, longest: float = LONGEST_PAUSE) -> None:
        """Wait, ``longest`` seconds at the most."""
        pause = min(self._next, longest)
        self._next = min(self._next * 2, LONGEST_PAUSE)
        await asyncio.sleep(random.uniform(pause / 2, pause))
