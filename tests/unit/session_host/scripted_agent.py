"""An agent whose answers a test makes, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from outlastd.front_door.response import EVENT_STREAM, Response


class ScriptedBody:
    """A body of chunks that come when the test gives them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        #: How many chunks were asked for.
        self.asked = 0
        self._asked = asyncio.Condition()
        self.closed = asyncio.Event()

    def give(self, *chunks: bytes | Exception | None) -> Self:
        """Let chunks come; None is the end, an exception breaks the body off."""
        for chunk in chunks:
            self._queue.put_nowait(chunk)
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        async with self._asked:
            self.asked += 1
            self._asked.notify_all()
        chunk = await self._queue.get()
        if chunk is None:
            raise StopAsyncIteration
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    async def asked_for(self, count: int) -> None:
        """Wait until so many chunks were asked for."""
        async with self._asked:
            await self._asked.wait_for(lambda: self.asked >= count)

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed.set()


class ScriptedAgent:
    """Counts its runs; each is answered as the test says."""

    def __init__(self) -> None:
        self.runs = 0
        #: Set when a run has begun.
        self.begun = asyncio.Event()
        #: A run waits for it.
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.answer: Callable[[], Response] = lambda: Response(200, b"run %d" % self.runs)

    async def run(self) -> Response:
        """Answer."""
        self.runs += 1
        self.begun.set()
        await self.goes_on.wait()
        return self.answer()

    def stream(self) -> ScriptedBody:
        """Have the next run answer with chunks."""
        body = ScriptedBody()
        self.answer = lambda: Response(200, body, EVENT_STREAM)
        return body

    def fails(self, error: Exception) -> None:
        """Have the next run fail."""

        def fail() -> Response:
            raise error

        self.answer = fail


async def body_of(response: Response | Awaitable[Response]) -> bytes:
    """Return all of an answer's body, and close it."""
    if not isinstance(response, Response):
        response = await response
    if isinstance(response.body, bytes):
        return response.body
    try:
        return b"".join([chunk async for chunk in response.body])
    finally:
        await response.body.aclose()
