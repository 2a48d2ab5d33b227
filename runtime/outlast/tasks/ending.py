"""The moment at which a task has ended, which threads and event loops can wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading


class Ending:
    """Happens once. Thread-safe; whoever waits is woken with nothing, and asks the task for its outcome."""

    __slots__ = ("_event", "_happened", "_lock", "_waiters")

    def __init__(self) -> None:
        self._happened = False
        #: What threads wait on; made by the first of them, for it costs more than all the rest here.
        self._event: threading.Event | None = None
        # Re-entrant: the garbage collector may close a coroutine that waits here while this thread holds the lock.
        self._lock = threading.RLock()
        #: Those that loops wait on; none for most tasks, and then no set is made of them.
        self._waiters: set[asyncio.Future[None]] | None = None

    def happened(self) -> bool:
        """Whether the task has ended."""
        return self._happened

    def happen(self) -> None:
        """Wake everybody who waits, and let nobody wait any more."""
        with self._lock:
            self._happened = True
            waiters, self._waiters = self._waiters, None
            if self._event is not None:
                self._event.set()
        if not waiters:
            return
        here = asyncio._get_running_loop()
        for waiter in waiters:
            loop = waiter.get_loop()
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits there
                if loop is here:  # which needs no waking up
                    loop.call_soon(_wake, waiter)
                else:
                    loop.call_soon_threadsafe(_wake, waiter)

    def block(self, timeout: float | None = None) -> bool:
        """Wait in this thread, ``timeout`` seconds at the most; whether the task has ended."""
        with self._lock:
            event = self._event = self._event or threading.Event()
            if self._happened:  # asked last: a finaliser that the garbage collector runs in here may have it happen
                return True
        return event.wait(timeout)

    async def reach(self, waiter: asyncio.Future[None]) -> None:
        """Wait on the running loop, whose future ``waiter`` is. Canceling the future ends the wait, not the task.

        The future, and with it the asyncio task that waits, is referenced from here: asyncio itself holds its tasks
        weakly.
        """
        with self._lock:
            waiters = self._waiters = set() if self._waiters is None else self._waiters
            waiters.add(waiter)
            if self._happened:  # asked last, as in ``block``
                waiters.discard(waiter)
                return
        try:
            await waiter
        finally:
            if waiter.done():  # it is not after close(), which asyncio's task for this coroutine does not see
                with self._lock:
                    if self._waiters is not None:
                        self._waiters.discard(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
