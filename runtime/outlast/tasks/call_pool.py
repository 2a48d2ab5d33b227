"""The threads that blocking handlers run on: a bounded number of them, and a bounded queue before them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

#: Handlers that may run at once, and further ones that may wait for a thread.
MAX_THREADS = 64
MAX_WAITING = 256


class CallPoolFull(Exception):
    """Every thread is taken and as many calls wait as may."""


class CallPool:
    """Daemon threads named ``{name}-1`` and so on, started when there is work for them. Thread-safe.

    Not a ThreadPoolExecutor: that one has no bound on what waits, and a handler that hangs would hang the exit.
    """

    def __init__(self, *, threads: int = MAX_THREADS, waiting: int = MAX_WAITING, name: str = "outlast-call") -> None:
        self._max_threads = threads
        self._max_calls = threads + waiting
        self._name = name
        self._calls: deque[Callable[[], object]] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        #: Calls that run or wait.
        self._admitted = 0
        self._closed = False

    def post(self, call: Callable[[], object], *, admitted: bool = False) -> None:
        """Have ``call`` called on a thread soon. It must not raise.

        ``admitted`` is for the next step of something that has been let in already: it waits as long as it must.

        Raises:
            CallPoolFull: every thread is taken and the queue is full.
        """
        with self._changed:
            if not admitted and self._admitted >= self._max_calls:
                raise CallPoolFull(f"{self._admitted} calls run or wait")
            self._admitted += 1
            self._calls.append(call)
            if len(self._calls) > self._idle and self._threads < self._max_threads:
                self._threads += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True).start()
            else:
                self._changed.notify()

    def close(self) -> None:
        """Let each thread end once there is nothing left to do; a call that hangs is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._calls:
                    if self._closed:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                call = self._calls.popleft()
            call()
            del call  # what it holds must not live until the next one comes
            with self._changed:
                self._admitted -= 1
