"""Answers a request by an ASGI application that runs on the agent's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Self

from outlast.tasks.item_stream import End, Item, ItemStream
from outlast.tasks.loops import LoopThread, Mailbox
from outlast.telemetry.log import get_logger
from outlastd.front_door.asgi_run import AsgiRun, ReadBody
from outlastd.front_door.asgi_types import ASGIApp, Scope
from outlastd.front_door.response import BODILESS, Response, text_response

#: Returns once every operation up to a watermark is durable; raises TimeoutError when that takes too long (promise 1).
Acknowledged = Callable[[int], Awaitable[None]]

#: Seconds after which a wait without an end is begun anew.
_LONG = 3_600.0


class AsgiCalls:
    """Calls ASGI applications. Belongs to the services' loop."""

    def __init__(self, agent_loop: LoopThread, watermark: Callable[[], int]) -> None:
        """``watermark`` returns the sequence of the newest operation; from any thread."""
        self._agent_loop = agent_loop
        self._watermark = watermark
        self._home: Mailbox | None = None
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return once no application is at work, be it on what comes after a response."""
        await self._idle.wait()

    async def call(
        self,
        app: ASGIApp,
        scope: Scope,
        context: Context,
        *,
        acknowledged: Acknowledged,
        read: ReadBody | None = None,
        first_wait: float = 0.0,
        on_return: Callable[[], None] | None = None,
    ) -> Response:
        """Call ``app`` in ``context``, and return its response once that has begun.

        ``read`` gives it the body of the request; None where that has been read. The response is held back up to
        ``first_wait`` seconds for the first piece of its body. ``on_return`` is called once the body has been closed
        and ``app`` has returned. An application that raises before it responds is answered for: 500, as servers do,
        and then ``on_return`` is not called.

        Raises:
            TimeoutError: what the response may speak of is not durable in time.
            Refusal: the body of the request is refused.
            ClientGone: the client left before the body was complete.
        """
        if self._home is None:
            self._home = Mailbox(asyncio.get_running_loop())
        run = AsgiRun(app, scope, context, self._agent_loop, self._home, read)
        stream = ItemStream(run, self._home, self._watermark, _as_bytes, _as_it_is)
        self._begin(run)
        try:
            start = await _next(stream)
            await acknowledged(start.watermark)
            first = await stream.next(first_wait) if first_wait and isinstance(start, Item) else None
            if first is not None:
                await acknowledged(first.watermark)
        except BaseException:
            stream.close()
            raise
        if run.response is None:
            if run.unread is not None:
                raise run.unread
            return text_response("Internal Server Error", 500)
        response = run.response
        declared = None if response.status in BODILESS else response.headers.get("Content-Length")

        def closed() -> None:
            if on_return is not None:
                run.when_returned(on_return)

        response.body = AsgiBody(stream, first, acknowledged, declared, closed)
        return response

    def _begin(self, run: AsgiRun) -> None:
        self._under_way += 1
        self._idle.clear()
        run.when_returned(self._end)

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()


class AsgiBody:
    """The body that an application sends, each piece once what it may speak of is durable (promise 1).

    A body that does not come to its end is broken off by a ConnectionError: its client must not take it for whole.
    """

    def __init__(
        self,
        stream: ItemStream,
        first: Item | End | None,
        acknowledged: Acknowledged,
        declared: str | None,
        on_close: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._first = first
        self._acknowledged = acknowledged
        #: Bytes that the application's Content-Length has left to come; None when it has none.
        self._left = int(declared) if declared is not None and declared.isdecimal() else None
        self._on_close = on_close
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        arrival, self._first = self._first, None
        if arrival is None:
            arrival = await _next(self._stream)
            try:
                await self._acknowledged(arrival.watermark)
            except TimeoutError:
                get_logger().error("a response is broken off: the tasks it may speak of are not on disk")
                raise ConnectionAbortedError("not durable") from None
        if isinstance(arrival, Item):
            if self._left is not None:
                self._left -= len(arrival.data)
            return arrival.data
        if arrival.error is not None:  # it is in the log
            raise ConnectionAbortedError("the application failed")
        if self._left:
            get_logger().error("a response is broken off: its body is not as long as its Content-Length says")
            raise ConnectionAbortedError("not the length that was declared")
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Tell the application that nobody reads any more, if it has not ended."""
        if not self._closed:
            self._closed = True
            self._stream.close()
            self._on_close()


async def _next(stream: ItemStream) -> Item | End:
    while (arrival := await stream.next(_LONG)) is None:
        pass
    return arrival


def _as_bytes(piece: object) -> bytes:
    assert isinstance(piece, bytes | bytearray | memoryview)
    return bytes(piece)


def _as_it_is(error: BaseException) -> BaseException:
    return error
