"""Wakes whoever waits for a task, or for the tasks of a session, to change.

A hint only: a lost one costs a wait of about ``POLL_SECONDS``, never data.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from outlast.core.errors import TaskManagerUnavailable
from outlast.core.event import TaskEvent
from outlast.core.task import Task

#: How often a waiter looks for itself, about: another process may have changed the task.
POLL_SECONDS = 2.0
#: Those who wait from the same moment do not all look at the same moment: by how much the time is stretched or cut.
SPREAD = 0.25
#: Seconds between two times that everybody is woken because anything may have changed.
ALL_SECONDS = 0.5
#: How many of them are woken at once; the others in the time until the next.
AT_ONCE = 50
#: Events that a bell holds for a waiter who is busy; with more of them he had better read.
MAX_HELD = 100
#: Bytes of output and result in them: one event may have 16 MiB, and a waiter may be stuck in his network for long.
MAX_HELD_BYTES = 1024 * 1024

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

    def note(self, task: Task, event: TaskEvent | None = None) -> None:
        """Ring the bells of a task that has changed, with the event where it is known, and of its session."""
        for bell in self._waiting.get(task.task_id, ()):
            bell.ring(event)
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
        self._rung = False
        #: Done when it rings, or the wait is over; None while nobody waits.
        self._waiter: asyncio.Future[bool] | None = None
        self._closed = False
        #: The events that it has rung for; None when not all of them are known.
        self._events: list[TaskEvent] | None = []
        self._bytes = 0

    def ring(self, event: TaskEvent | None = None) -> None:
        """End the wait; ``event`` is what for, where that is known."""
        if event is not None:
            self._bytes += len(event.output or b"") + len(event.result or b"")
        if event is None or self._events is None or len(self._events) == MAX_HELD or self._bytes > MAX_HELD_BYTES:
            self._events = None
        else:
            self._events.append(event)
        self._end_wait()

    def close(self) -> None:
        """End this wait and all later ones with TaskManagerUnavailable."""
        self._closed = True
        self._end_wait()

    def clear(self) -> None:
        """Forget the changes so far: the waiter is about to read."""
        if self._closed:
            raise TaskManagerUnavailable("the task manager is stopping")
        self._rung = False
        self._events = []
        self._bytes = 0

    def take(self, generation: int) -> Sequence[TaskEvent] | None:
        """Forget the changes so far, and return their events after a generation; None when they have to be read."""
        rung_for = self._events
        self.clear()
        if rung_for is None:
            return None
        events = [event for event in rung_for if event.generation > generation]
        numbers = [event.generation for event in events]
        return events if numbers == [*range(generation + 1, generation + 1 + len(events))] else None

    async def wait(self, seconds: float = float("inf")) -> bool:
        """Return when it has rung, or after ``seconds`` (about ``POLL_SECONDS`` at the most); say whether it has."""
        if not self._rung:
            # A future and a timer: asyncio.timeout() around an event is a quarter of what an event costs a watcher.
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[bool] = loop.create_future()
            self._waiter = waiter
            poll = POLL_SECONDS * random.uniform(1 - SPREAD, 1 + SPREAD)
            timer = loop.call_later(min(seconds, poll), _give_up, waiter)
            try:
                return await waiter
            finally:
                timer.cancel()
                self._waiter = None
        return True

    def _end_wait(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
