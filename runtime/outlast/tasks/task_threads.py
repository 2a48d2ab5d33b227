"""Threads for tasks that are plain functions: one each, and a line of those that wait for one."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from outlast.core.errors import BacklogFull
from outlast.limits import MAX_TASK_THREADS, MAX_WAITING_TASKS


class Waiting(Protocol):
    """What stands in line for a thread."""

    def work(self) -> None:
        """Do it; called on the thread. Must not raise."""
        ...

    def cannot_begin(self, error: BaseException) -> None:
        """Take note that it will never be called: the system gives no more threads."""
        ...


class TaskThreads:
    """Daemon threads named ``outlast-task-N``, ``limit`` at a time at the most. Thread-safe.

    Each is new: what one task leaves in its thread, no other finds.
    """

    def __init__(self, limit: int = MAX_TASK_THREADS, max_waiting: int = MAX_WAITING_TASKS) -> None:
        self.limit = limit
        self.max_waiting = max_waiting
        self._running = 0
        # Re-entrant: a finaliser that the garbage collector runs may end a task that waits while this thread holds it.
        self._lock = threading.RLock()
        self._line: OrderedDict[Waiting, None] = OrderedDict()
        self._numbers = itertools.count(1)

    @property
    def running(self) -> int:
        """How many threads are taken."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def reserve(self, task_type: str, *, bounded: bool = True) -> bool:
        """Take a thread for a task that is about to start: ``run`` or ``release`` must follow.

        False when all are taken: ``line_up`` is the way to one. ``bounded=False`` is for those that cannot be refused.

        Raises:
            BacklogFull: too many wait already.
        """
        with self._lock:
            if self._running < self.limit and not self._line:
                self._running += 1
                return True
            if bounded and len(self._line) >= self.max_waiting:
                raise BacklogFull(
                    f"{self._running:,} plain functions run as tasks, each on a thread of its own, and "
                    f"{len(self._line):,} wait for one: {task_type} was not started"
                )
            return False

    def run(self, work: Callable[[], None]) -> None:
        """Run ``work``, which must not raise, on the thread that was reserved.

        Raises:
            RuntimeError: the system gives no more threads.
        """
        try:
            self._start(work)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give back a thread that was reserved."""
        while (following := self._hand_over()) is not None:
            try:
                self._start(following.work)
                return
            except BaseException as error:
                following.cannot_begin(error)

    def line_up(self, waiting: Waiting) -> None:
        """Have ``waiting.work`` called on a thread of its own: now when one is free, else in turn."""
        with self._lock:
            self._line[waiting] = None
            if self._running >= self.limit:
                return
            self._running += 1
        self.release()

    def leave(self, waiting: Waiting) -> bool:
        """Stand no longer in line; whether it did: it is never called then."""
        with self._lock:
            return self._line.pop(waiting, self) is None

    def _start(self, work: Callable[[], None]) -> None:
        name = f"outlast-task-{next(self._numbers)}"
        threading.Thread(target=self._main, args=(work,), name=name, daemon=True).start()

    def _main(self, work: Callable[[], None]) -> None:
        while True:
            work()
            following = self._hand_over()
            if following is None:
                return
            work = following.work
            try:
                self._start(work)
                return
            except RuntimeError:  # the system gives no more threads: this one goes on
                pass

    def _hand_over(self) -> Waiting | None:
        """Return the next in line, whose thread this one becomes; None when it is given back."""
        with self._lock:
            if self._line and self._running <= self.limit:
                return self._line.popitem(last=False)[0]
            self._running -= 1
            return None
