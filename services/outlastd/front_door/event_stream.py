"""The body of a watch over HTTP: server-sent events, for as long as somebody reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Self

import grpc.aio

from outlast.telemetry.log import get_logger
from outlastd.front_door.errors import refusal_of
from outlastd.front_door.sse import KEEPALIVE, sse_comment


class EventStream:
    """Passes events on as they come; sends a comment when there are none for ``keepalive`` seconds."""

    def __init__(self, events: AsyncGenerator[bytes, None], keepalive: float) -> None:
        self._events = events
        self._keepalive = keepalive
        self._reading: asyncio.Future[bytes | None] | None = None
        self._ended = False

    async def begin(self, wait: float) -> None:
        """Wait up to ``wait`` seconds for the first event, so that a refusal is told as one.

        Raises:
            Refusal: the task manager says no to the watch.
        """
        self._reading = asyncio.ensure_future(self._next())
        done, _ = await asyncio.wait([self._reading], timeout=wait)
        if done and isinstance(error := self._reading.exception(), grpc.aio.AioRpcError):
            raise refusal_of(error)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._next())
        # Not wait_for: the timeout of one keepalive must not break a read off.
        done, _ = await asyncio.wait([self._reading], timeout=self._keepalive)
        if not done:
            return KEEPALIVE
        reading, self._reading = self._reading, None
        try:
            event = reading.result()
        except grpc.aio.AioRpcError as error:
            # It has begun as an answer that is a stream: the reason is a comment. Who comes back gets it as a status.
            get_logger().warning("a watch was refused", code=error.code().name, detail=error.details())
            self._ended = True
            return sse_comment(refusal_of(error).error)
        if event is None:
            self._ended = True
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """End the watch."""
        self._ended = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._events.aclose()

    async def _next(self) -> bytes | None:
        return await anext(self._events, None)
