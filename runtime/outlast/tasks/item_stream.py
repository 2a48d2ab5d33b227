"""Carries what a generator yields to the services' loop, never more than a few items ahead of whoever reads them.

The reader grants credit and the generator runs while it has some, so back-pressure blocks no loop, and a client that
reads slowly holds no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple, Protocol

from outlast.core.value import value
from outlast.tasks.call_pool import CallPool
from outlast.tasks.loops import LoopThread, Mailbox

#: How many items a generator may be ahead of its reader.
AHEAD = 64


class Item(NamedTuple):
    """A rendered item, and what must be durable before it is told (promise 1)."""

    data: bytes
    watermark: int


@value(frozen=True, slots=True)
class End:
    """The end of a stream: the generator returned, or raised something."""

    watermark: int
    #: What it raised, rendered; None when it returned.
    error: Any = None


class Source(Protocol):
    """A generator and where it runs. Its methods are called on the services' loop."""

    def begin(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        """Take what is to be called, on the generator's thread, for each item and at the end."""

    def grant(self, items: int) -> None:
        """Let the generator yield so many items more."""

    def close(self) -> None:
        """Close the generator, where it runs: nobody reads any more."""


class ItemStream:
    """The reading side, on the services' loop: one reader, who closes it."""

    def __init__(
        self,
        source: Source,
        home: Mailbox,
        watermark: Callable[[], int],
        render: Callable[[object], bytes],
        render_error: Callable[[BaseException], object],
    ) -> None:
        """``render`` and ``render_error`` are called on the generator's thread."""
        self._source = source
        self._home = home
        self._watermark = watermark
        self._render = render
        self._render_error = render_error
        self._items: deque[Item] = deque()
        self._end: End | None = None
        self._begun = False
        self._closed = False
        #: Items read since credit was last granted.
        self._read = 0
        self._waiter: asyncio.Future[None] | None = None

    async def next(self, timeout: float) -> Item | End | None:
        """Return the next item, or the end; None when neither has come within ``timeout`` seconds."""
        if not self._begun:
            self._begun = True
            self._source.begin(self._emit, self._finish)
            self._source.grant(AHEAD)
        if not self._items and self._end is None:
            await self._arrival(timeout)
        if not self._items:
            return self._end
        self._read += 1
        if self._read >= AHEAD // 2:
            self._source.grant(self._read)
            self._read = 0
        return self._items.popleft()

    def close(self) -> None:
        """Stop reading; the generator is closed where it runs. Once is enough, and more does nothing."""
        if not self._closed:
            self._closed = True
            if self._end is None:
                self._source.close()

    async def _arrival(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(timeout, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arrived(self, arrival: Item | End) -> None:
        if isinstance(arrival, Item):
            self._items.append(arrival)
        else:
            self._end = arrival
        self._wake()

    # -- on the generator's thread ---------------------------------------------------------------------

    def _emit(self, item: object) -> None:
        self._send(Item(self._render(item), self._watermark()))

    def _finish(self, error: BaseException | None) -> None:
        self._send(End(self._watermark(), None if error is None else self._render_error(error)))

    def _send(self, arrival: Item | End) -> None:
        with contextlib.suppress(RuntimeError):  # the services' loop is closed: the process ends
            self._home.post(partial(self._arrived, arrival))


class AsyncSource:
    """An async generator on the agent's loop: one task for its whole life, as a timeout that spans a yield demands."""

    def __init__(self, generator: AsyncGenerator[Any, Any], agent_loop: LoopThread, context: Context) -> None:
        self._generator = generator
        self._agent_loop = agent_loop
        self._context = context
        # Touched on the agent's loop only, from here on.
        self._credit = 0
        self._granted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        """Start the task that iterates."""
        self._agent_loop.post(self._start, emit, end)

    def grant(self, items: int) -> None:
        """Let the generator yield so many items more."""
        self._agent_loop.post(self._add, items)

    def close(self) -> None:
        """Cancel the task, which closes the generator."""
        self._agent_loop.post(self._cancel)

    def _start(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._pump(emit, end), context=self._context)

    def _add(self, items: int) -> None:
        self._credit += items
        self._granted.set()

    def _cancel(self) -> None:
        if self._task is None:  # never begun
            self._task = asyncio.get_running_loop().create_task(self._close(), context=self._context)
        else:
            self._task.cancel()

    async def _pump(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        failure: BaseException | None = None
        try:
            async for item in self._generator:
                # Tasks that were just created take their first step before the watermark is read.
                await asyncio.sleep(0)
                emit(item)
                self._credit -= 1
                while self._credit <= 0:
                    self._granted.clear()
                    await self._granted.wait()
            await asyncio.sleep(0)
        except BaseException as error:  # a cancel and SystemExit too: they end this stream, and nothing else
            failure = error
        await self._close()
        end(failure)

    async def _close(self) -> None:
        with contextlib.suppress(BaseException):  # the outcome is settled; what cleaning up raises changes nothing
            await self._generator.aclose()


class SyncSource:
    """A generator on the call pool: a thread takes it as far as the credit goes, and is free again."""

    def __init__(self, generator: Generator[Any, Any, Any], pool: CallPool, home: Mailbox, context: Context) -> None:
        self._generator = generator
        self._pool = pool
        self._home = home
        self._context = context
        self._emit: Callable[[object], None] = _ignore
        self._end: Callable[[BaseException | None], None] = _ignore
        self._credit = 0
        self._stepping = False
        self._closed = False

    def begin(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        """Take what is to be called on the thread."""
        self._emit, self._end = emit, end

    def grant(self, items: int) -> None:
        """Let the generator yield so many items more."""
        self._credit += items
        self._step()

    def close(self) -> None:
        """Close the generator, on a thread, once the step that runs is over."""
        self._closed = True
        self._step()

    def _step(self) -> None:
        if not self._stepping and (self._credit or self._closed):
            self._stepping = True
            credit, self._credit = self._credit, 0
            self._pool.post(partial(self._run_step, credit), admitted=True)

    def _stepped(self) -> None:
        self._stepping = False
        self._step()

    def _run_step(self, credit: int) -> None:
        """On a thread. The context has to be left before the next step is asked for, which another thread may take."""
        if self._context.run(self._advance, credit):
            with contextlib.suppress(RuntimeError):  # the services' loop is closed: the process ends
                self._home.post(self._stepped)

    def _advance(self, credit: int) -> bool:
        """Yield ``credit`` items, or up to the end; return whether there may be more."""
        try:
            for _ in range(credit):
                if self._closed:
                    break
                try:
                    item = next(self._generator)
                except StopIteration:
                    self._end(None)
                    return False
                self._emit(item)
            if self._closed:
                self._generator.close()
                self._end(None)
                return False
        except BaseException as error:  # SystemExit too: a generator does not end the service
            with contextlib.suppress(BaseException):
                self._generator.close()
            self._end(error)
            return False
        return True


def _ignore(_: object) -> None:
    """Stand in until the stream has begun."""
