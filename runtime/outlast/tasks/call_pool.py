"""The threads that blocking handlers run on: a bounded number of them, and a bounded queue before them."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable

from outlast.limits import MAX_CALL_THREADS

#: Calls that may wait for a thread.
MAX_WAITING = 256


class CallPoolFull(Exception):
    """Every thread is taken and as many calls wait as may."""


class CallPool:
    """Daemon threads named ``{name}-1`` and so on, started when there is work for them. Thread-safe.

    Not a ThreadPoolExecutor: that one has no bound on what waits, and a handler that hangs would hang the exit.
    Whoever posts does not wait for threads to start, which takes long when others compute: the thread that takes a
    call and leaves nobody idle starts the next one first. Of idle threads the one that was at work last is taken, as
    Starlette's pool does it: what a handler keeps and may not leave its thread (a connection of sqlite3, a browser of
    Playwright's) is met again by the next call, as long as they come one by one.
    """

    def __init__(
        self, *, threads: int = MAX_CALL_THREADS, waiting: int = MAX_WAITING, name: str = "outlast-call"
    ) -> None:
        #: How many threads there may be.
        self.limit = threads
        self._max_calls = threads + waiting
        self._name = name
        self._calls: deque[Callable[[], object]] = deque()
        self._lock = threading.RLock()
        #: What wakes each thread that waits for a call; the one that was at work last comes last.
        self._resting: list[threading.Condition] = []
        self._threads = 0
        #: Threads without a call, those among them that only start.
        self._idle = 0
        #: Calls that run or wait.
        self._admitted = 0
        self._closed = False

    @property
    def running(self) -> int:
        """How many threads are at a call."""
        return self._threads - self._idle

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""
        return len(self._calls)

    def post(self, call: Callable[[], object], *, admitted: bool = False) -> None:
        """Have ``call`` called on a thread soon. It must not raise.

        ``admitted`` is for the next step of something that has been let in already: it waits as long as it must.

        Raises:
            CallPoolFull: every thread is taken and the queue is full.
            RuntimeError: the system does not give the pool its first thread.
        """
        with self._lock:
            if not admitted and self._admitted >= self._max_calls:
                raise CallPoolFull(f"{self._admitted} calls run or wait")
            if not self._threads:
                self._start(self._reserve())
            self._admitted += 1
            self._calls.append(call)
            if self._resting:
                self._resting.pop().notify()

    def close(self) -> None:
        """Let each thread end once there is nothing left to do; a call that hangs is left behind."""
        with self._lock:
            self._closed = True
            while self._resting:
                self._resting.pop().notify()

    def _reserve(self) -> int:
        """Count one more thread, which is about to start; return its number. The lock is held."""
        self._threads += 1
        self._idle += 1
        return self._threads

    def _start(self, number: int) -> None:
        try:
            threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True).start()
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            self._threads -= 1
            self._idle -= 1

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()
            del call  # what it holds must not live until the next one comes
            with self._lock:
                self._admitted -= 1
                self._idle += 1
        self._leave()

    def _next(self) -> Callable[[], object] | None:
        """Wait for a call and take it, once there is another thread for the one after it; None at the end."""
        woken = threading.Condition(self._lock)
        with self._lock:
            while not self._calls:
                if self._closed:
                    return None
                self._resting.append(woken)
                woken.wait()
            call = self._calls.popleft()
            self._idle -= 1
            if self._idle or self._closed or self._threads == self.limit:
                return call
            number = self._reserve()
        with contextlib.suppress(RuntimeError):  # the system gives no more threads: those that are there go on
            self._start(number)
        return call
