"""Event loops for user code, each on a thread of its own, so that none of it runs on the services' loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable

from outlast.tasks.loop_executor import LoopExecutor


class Mailbox:
    """Callbacks for a loop, from any thread: one wake-up of the loop (a pipe write) for as many as wait.

    No lock: a deque's own operations are atomic, and the flag is set after the append that it is for and cleared
    before the callbacks are counted. At worst two threads wake the loop for the same ones.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], object]] = deque()
        self._woken = False

    def post(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called on the loop soon. Raises RuntimeError when the loop is closed."""
        self._waiting.append(callback)
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        """On the loop: run what waits now; what these callbacks post waits for the next turn."""
        self._woken = False
        for _ in range(len(self._waiting)):
            try:
                self._waiting.popleft()()
            except Exception as error:
                self._loop.call_exception_handler({"message": "a posted callback failed", "exception": error})


class LoopThread:
    """An event loop on a daemon thread of its own, both made on first use, from any thread."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: The identifier of that thread while it runs the loop.
        self._ident: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mailbox: Mailbox | None = None
        self._closing = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running; starts the thread when there is none. Raises RuntimeError after ``close``."""
        return self._loop or self._start()

    @property
    def started(self) -> bool:
        """Whether there is a loop; asking for ``loop`` makes one."""
        return self._loop is not None

    @property
    def thread_id(self) -> int | None:
        """The identifier of the loop's thread, while that runs and takes posts without starting anything."""
        thread = self._thread
        return thread.ident if self._mailbox is not None and thread is not None and thread.is_alive() else None

    def is_current(self) -> bool:
        """Whether the calling code runs on this loop's thread."""
        return self._ident == threading.get_ident()

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Have ``callback(*args)`` called on the loop soon; from any thread. Raises RuntimeError after ``close``."""
        if self._mailbox is None:
            self._start()
        assert self._mailbox is not None
        self._mailbox.post((lambda: callback(*args)) if args else callback)

    def close(self, timeout: float) -> None:
        """Stop the loop and wait up to ``timeout`` seconds for its thread; code that blocks it is left behind."""
        with self._lock:
            self._closing = True
            thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        with contextlib.suppress(RuntimeError):  # closed before
            loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closing:
                raise RuntimeError(f"the loop {self.name} is closed")
            if self._loop is None:
                started = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(started,), name=self.name, daemon=True)
                self._thread.start()
                started.wait()
            assert self._loop is not None
            return self._loop

    def _run(self, started: threading.Event) -> None:
        # Instrumentation that copies context into new threads can leak "a loop is running here" into this one.
        asyncio._set_running_loop(None)
        self._ident = threading.get_ident()
        # asyncio's own loop, not uvloop: users' objects are written for it, and debug what they know.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loop.set_default_executor(LoopExecutor(f"{self.name}-thread"))
        self._mailbox = Mailbox(loop)
        self._loop = loop
        loop.call_soon(started.set)
        try:
            while not self._closing:
                # A handler's sys.exit() comes out here. It has ended the handler; the others go on.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    loop.run_forever()
        finally:
            _cancel_all(loop)
            loop.close()
            self._ident = None  # another thread may get it


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what is left on a stopped loop and let it unwind, as asyncio.run does."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=1.0))
    loop.run_until_complete(loop.shutdown_asyncgens())
