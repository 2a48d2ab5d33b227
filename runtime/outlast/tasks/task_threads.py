"""Threads for tasks that are plain functions: one each."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from outlast.limits import MAX_TASK_THREADS


class TaskThreads:
    """Daemon threads named ``outlast-task-N``, ``limit`` at a time at the most. Thread-safe."""

    def __init__(self, limit: int = MAX_TASK_THREADS) -> None:
        self.limit = limit
        self._running = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def running(self) -> int:
        """How many threads are taken."""
        return self._running

    def reserve(self, task_type: str) -> None:
        """Take a thread for a task that is about to start; ``run`` or ``release`` must follow.

        Raises:
            RuntimeError: all are taken.
        """
        with self._lock:
            if self._running >= self.limit:
                raise RuntimeError(
                    f"{self._running} plain functions run as tasks already, each on a thread of its own: "
                    f"{task_type} was not started"
                )
            self._running += 1

    def release(self) -> None:
        """Give back a thread that was reserved."""
        with self._lock:
            self._running -= 1

    def run(self, work: Callable[[], object]) -> None:
        """Run ``work`` on the thread that was reserved.

        Raises:
            RuntimeError: the system gives no more threads.
        """

        def main() -> None:
            try:
                work()
            finally:
                self.release()

        thread = threading.Thread(target=main, name=f"outlast-task-{next(self._numbers)}", daemon=True)
        try:
            thread.start()
        except BaseException:
            self.release()
            raise
