"""Wakes whoever waits for a task, or for the tasks of a session, to change.

A hint only: a lost one costs a wait of about ``POLL_SECONDS``, never data.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

from outlast.core.errors import TaskManagerUnavailable
from outlast.core.task import Task

#: How often a waiter looks for itself, about: another process may have changed the task.
POLL_SECONDS = 2.0
#: Those who wait from the same moment do not all look at the same moment: by how much the time is stretched or cut.
SPREAD = 0.25
#: Seconds between two times that everybody is woken because anything may have changed.
ALL_SECONDS = 0.5
#: How many of them are woken at once; the others in the time until the next.
AT_ONCE = 50

#: What a waiter waits for: a task by its id, or a session by its name.
Key = int | str


class Notifier:
    """Knows who waits for what, and nothing of tasks and sessions that nobody waits for."""

    def __init__(self) -> None:
        self._waiting: dict[Key, set[Bell]] = {}
        self._closed = False
        self._waking_all: asyncio.TimerHandle | None = None
        self._woken_all_at = float("-inf")

    @contextmanager
    def listen(self, key: Key) -> Iterator[Bell]:
        """Give a bell that rings at every change of a task (its id), or of a session's tasks (its name), from now on.

        Clear it, read, then wait: a change after the read has rung it, so no wake-up is lost in between.
        """
        bell = Bell()
        if self._closed:
            bell.close()
        self._waiting.setdefault(key, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._waiting[key]
            bells.discard(bell)
            if not bells:
                del self._waiting[key]

    @property
    def listening(self) -> int:
        """How many tasks and sessions somebody waits for."""
        return len(self._waiting)

    @property
    def sessions(self) -> bool:
        """Whether somebody waits for a session."""
        return any(isinstance(key, str) for key in self._waiting)

    def note(self, task: Task) -> None:
        """Ring the bells of a task that has changed, and of its session."""
        self.wake(task.task_id)
        if task.session_id:
            self.wake(task.session_id)

    def wake(self, key: Key) -> None:
        """Ring the bells of a task or of a session."""
        for bell in self._waiting.get(key, ()):
            bell.ring()

    def hint(self, task_ids: frozenset[int] | None) -> None:
        """Ring the bells of tasks that another process has changed; soon those of all when it is None."""
        if task_ids is None:
            self._wake_all()
        else:
            for task_id in task_ids:
                self.wake(task_id)

    def close(self) -> None:
        """End every wait, those to come too, with TaskManagerUnavailable."""
        self._closed = True
        if self._waking_all is not None:
            self._waking_all.cancel()
        for bells in self._waiting.values():
            for bell in bells:
                bell.close()

    def _wake_all(self) -> None:
        loop = asyncio.get_running_loop()
        if self._waking_all is None and self._waiting and not self._closed:
            self._waking_all = loop.call_at(self._woken_all_at + ALL_SECONDS, self._ring_all)

    def _ring_all(self) -> None:
        loop = asyncio.get_running_loop()
        self._waking_all = None
        self._woken_all_at = loop.time()
        for number, bell in enumerate(bell for bells in self._waiting.values() for bell in bells):
            if number < AT_ONCE:
                bell.ring()
            else:
                loop.call_later(random.uniform(0.0, ALL_SECONDS), bell.ring)


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

    async def wait(self, seconds: float = float("inf")) -> bool:
        """Return when it has rung, or after ``seconds`` (about ``POLL_SECONDS`` at the most); say whether it has."""
        poll = POLL_SECONDS * random.uniform(1 - SPREAD, 1 + SPREAD)
        try:
            async with asyncio.timeout(min(seconds, poll)):
                await self._rung.wait()
        except TimeoutError:
            return False
        return True
