"""SIGTERM and Ctrl-C, as something that a coroutine can wait for."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

#: Seconds that the first Ctrl-C in a terminal allows: somebody sits there and waits.
TERMINAL_GRACE = 3.0


class StopSignal:
    """The wish to stop, and how long it may take. Lives on the services' loop."""

    def __init__(self, grace: float) -> None:
        #: Seconds that stopping may take: what SIGTERM allows, until somebody asks for something else.
        self.grace = grace
        #: The signal that asked first; 0 when something else did.
        self.number = 0
        self._first = asyncio.Event()
        self._second = asyncio.Event()

    def install(self) -> None:
        """Listen for the signals; only the main thread can, elsewhere the process's owner stops it."""
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        in_terminal = min(TERMINAL_GRACE, self.grace) if sys.stderr.isatty() else self.grace
        loop.add_signal_handler(signal.SIGTERM, self.ask, self.grace, signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, self.ask, in_terminal, signal.SIGINT)

    async def wait(self) -> float:
        """Return, once somebody has asked to stop, how many seconds that may take."""
        await self._first.wait()
        return self.grace

    async def unless_at_once(self, wait: Coroutine[Any, Any, object], timeout: float | None = None) -> None:
        """Await ``wait``, up to ``timeout`` seconds, and give it up as soon as somebody asks to stop at once."""
        waiting = asyncio.ensure_future(wait)
        at_once = asyncio.ensure_future(self._second.wait())
        done, pending = await asyncio.wait([waiting, at_once], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for future in pending:
            future.cancel()
        if waiting in done:
            waiting.result()

    def ask(self, grace: float, number: int = 0) -> None:
        """Ask to stop within ``grace`` seconds; asked a second time, at once. On the loop."""
        if self._first.is_set():
            self._second.set()
        else:
            self.grace, self.number = grace, number
            self._first.set()
