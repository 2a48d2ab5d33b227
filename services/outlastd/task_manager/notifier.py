"""Wakes whoever waits for a task to change. A hint only: a lost one costs a wait of ``POLL_SECONDS``, never data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from outlast.core.errors import TaskManagerUnavailable

#: How often a waiter looks for itself: another process may have changed the task.
POLL_SECONDS = 2.0


class Notifier:
    """Knows who waits for which task, and nothing of tasks that nobody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[Bell]] = {}
        self._closed = False

    @contextmanager
    def listen(self, task_id: int) -> Iterator[Bell]:
        """Give a bell that rings at every change of the task from now on.

        Clear it, read the task, then wait: a change after the read has rung it, so no wake-up is lost in between.
        """
        bell = Bell()
        if self._closed:
            bell.close()
        self._waiting.setdefault(task_id, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._waiting[task_id]
            bells.discard(bell)
            if not bells:
                del self._waiting[task_id]

    @property
    def listening(self) -> int:
        """How many tasks somebody waits for."""
        return len(self._waiting)

    def wake(self, task_id: int) -> None:
        """Ring the bells of a task that has changed."""
        for bell in self._waiting.get(task_id, ()):
            bell.ring()

    def close(self) -> None:
        """End every wait, those to come too, with TaskManagerUnavailable."""
        self._closed = True
        for bells in self._waiting.values():
            for bell in bells:
                bell.close()


class Bell:
    """What one waiter waits for."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._closed = False

    def ring(self) -> None:
        """End the wait."""
        self._rung.set()

    def close(self) -> None:
        """End this wait and all later ones with TaskManagerUnavailable."""
        self._closed = True
        self._rung.set()

    def clear(self) -> None:
        """Forget the changes so far: the waiter is about to read."""
        if self._closed:
            raise TaskManagerUnavailable("the task manager is stopping")
        self._rung.clear()

    async def wait(self, seconds: float) -> None:
        """Return when it has rung, or after ``seconds`` (``POLL_SECONDS`` at the most)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, POLL_SECONDS)):
                await self._rung.wait()
