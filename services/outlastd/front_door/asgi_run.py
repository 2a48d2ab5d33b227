"""One call of an ASGI application, on the agent's loop: Starlette's responses and middleware are user code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from outlast.context import current_invocation
from outlast.tasks.item_stream import AHEAD
from outlast.tasks.loops import LoopThread, Mailbox
from outlast.telemetry.log import get_logger
from outlastd.front_door.asgi_types import ASGIApp, Message, Scope
from outlastd.front_door.raw_headers import read_raw_headers
from outlastd.front_door.request import ClientGone, Refusal
from outlastd.front_door.response import Response

#: Reads the body of the request, on the services' loop.
ReadBody = Callable[[], Coroutine[Any, Any, bytes]]

#: What Starlette raises because the client has left; no fault of the application's.
_CLIENT_DISCONNECT = "ClientDisconnect"


class AsgiRun:
    """The application's side is ``receive`` and ``send``; the other side is the Source of an ItemStream.

    The stream's first item is empty and says that ``response`` is there; those that follow are pieces of the body. The
    stream ends with the last piece; the application may go on after it, as Starlette's background tasks do.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        context: Context,
        agent_loop: LoopThread,
        home: Mailbox,
        read: ReadBody | None,
    ) -> None:
        """``read`` is None where somebody has read the body already."""
        self._app = app
        # The version that uvicorn speaks. By it, Starlette's responses listen for the client's leaving.
        self._scope = {**scope, "asgi": {"version": "3.0", "spec_version": "2.3"}, "extensions": {}}
        self._context = context
        self._agent_loop = agent_loop
        self._home = home
        self._home_loop = asyncio.get_running_loop()
        self._read = read
        #: Status and headers, from the stream's first item on.
        self.response: Response | None = None
        #: Why the body of the request was not to be had; to be raised in place of a response.
        self.unread: Refusal | ClientGone | None = None
        # Of the services' loop.
        self._returned = False
        self._on_return: list[Callable[[], None]] = []
        # Of the agent's loop.
        self._emit: Callable[[object], None] = _ignore
        self._end: Callable[[BaseException | None], None] = _ignore
        self._credit = 0
        self._changed = asyncio.Event()
        #: Set when there is nobody to talk to any more: the response is complete, or the client has left.
        self._over = asyncio.Event()
        self._complete = False
        self._left = False
        #: What is sent into the void before the application is told that it is one.
        self._swallowed = 0

    # -- on the services' loop -------------------------------------------------------------------------

    def begin(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        """Call the application soon."""
        self._agent_loop.post(self._start, emit, end)

    def grant(self, items: int) -> None:
        """Let the application send so many messages more."""
        self._agent_loop.post(self._add, items)

    def close(self) -> None:
        """Tell the application that the client has left."""
        with contextlib.suppress(RuntimeError):  # the agent's loop is closed, and the application with it
            self._agent_loop.post(self._leave)

    def when_returned(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once the application has returned; at once when it has."""
        if self._returned:
            callback()
        else:
            self._on_return.append(callback)

    def _has_returned(self) -> None:
        self._returned = True
        for callback in self._on_return:
            callback()

    # -- on the agent's loop ---------------------------------------------------------------------------

    def _start(self, emit: Callable[[object], None], end: Callable[[BaseException | None], None]) -> None:
        self._emit, self._end = emit, end
        task = asyncio.get_running_loop().create_task(self._run(), context=self._context)
        _running.add(task)
        task.add_done_callback(_running.discard)

    def _add(self, items: int) -> None:
        self._credit += items
        self._changed.set()

    def _leave(self) -> None:
        self._left = True
        self._changed.set()
        self._over.set()

    async def _run(self) -> None:
        failure: BaseException | None = None
        try:
            if not self._left:
                await self._app(self._scope, self._receive, self._send)
        except BaseException as error:  # a cancel and SystemExit too: they end this call, and nothing else
            failure = error
        if failure is None and not self._complete and not self._left:
            missing = "completing its" if self.response else "a"
            failure = RuntimeError(f"the ASGI application returned without {missing} response")
        if failure is not None and not self._is_of_leaving(failure):
            invocation = current_invocation.get()
            of = {"requestId": invocation.request_id} if invocation is not None else {}
            get_logger().error("Exception in ASGI application", error=failure, **of)
        if not self._complete:
            self._end(failure)
        await _close_iterator(self._app)
        with contextlib.suppress(RuntimeError):  # the services' loop is closed: the process ends
            self._home.post(self._has_returned)

    def _is_of_leaving(self, failure: BaseException) -> bool:
        """Tell whether the application failed because there is nobody to answer."""
        if isinstance(failure, asyncio.CancelledError):
            return self._complete or self._left
        if not self._left or self._complete:
            return False
        return self.response is None or isinstance(failure, OSError) or type(failure).__name__ == _CLIENT_DISCONNECT

    async def _receive(self) -> Message:
        if self._read is not None:
            read, self._read = self._read, None
            body = await self._read_at_home(read())
            if body is not None:
                return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _read_at_home(self, reading: Coroutine[Any, Any, bytes]) -> bytes | None:
        try:
            future = asyncio.run_coroutine_threadsafe(reading, self._home_loop)
        except RuntimeError:  # the services' loop is closed: the process ends
            reading.close()
            return None
        try:
            return await asyncio.wrap_future(future)
        except (Refusal, ClientGone) as error:
            self.unread = error
        self._leave()
        return None

    async def _send(self, message: Message) -> None:
        # Tasks that were just created take their first step before the watermark is read.
        await asyncio.sleep(0)
        if self._left:
            self._swallow()
        elif message["type"] == "http.response.start":
            self._take_start(message)
            await self._room()
        elif message["type"] == "http.response.body":
            self._take_body(message)
            await self._room()

    def _take_start(self, message: Message) -> None:
        if self.response is not None:
            raise RuntimeError("the response has started already")
        content_type, headers = read_raw_headers(message.get("headers", ()))
        self.response = Response(message["status"], b"", content_type, headers)
        self._emit(b"")

    def _take_body(self, message: Message) -> None:
        if self.response is None or self._complete:
            raise RuntimeError(f"the response is {'complete' if self._complete else 'not started'}")
        piece = message.get("body", b"")
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"the body of a response is bytes, not {type(piece).__name__}")
        if piece:
            self._emit(piece)
        if not message.get("more_body", False):
            self._complete = True
            self._over.set()
            self._end(None)

    async def _room(self) -> None:
        """Take one of the messages that were granted, and wait until there is another."""
        self._credit -= 1
        while self._credit <= 0 and not (self._left or self._complete):
            self._changed.clear()
            await self._changed.wait()

    def _swallow(self) -> None:
        # No error at once, as with uvicorn: who has little more to say goes on to what comes after the response.
        self._swallowed += 1
        if self._swallowed > AHEAD:
            raise OSError("the client has left")


async def _close_iterator(app: object) -> None:
    """Close what a streaming response of Starlette's iterates over, which it leaves to the garbage collector."""
    close = getattr(getattr(app, "body_iterator", None), "aclose", None)
    if close is not None:
        with contextlib.suppress(BaseException):  # the outcome is settled; what cleaning up raises changes nothing
            await close()


#: asyncio itself keeps only weak references to tasks. Touched on agents' loops only; a set's methods are atomic.
_running: set[asyncio.Task[None]] = set()


def _ignore(_: object) -> None:
    """Stand in until the application is called."""
