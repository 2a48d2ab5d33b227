"""The body of a streaming invocation: what the handler's generator yields, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Self

from outlast.tasks.item_stream import End, Item, ItemStream
from outlastd.front_door.durability import Durability
from outlastd.front_door.failure import Failure
from outlastd.front_door.sse import KEEPALIVE, sse_event

_NOT_CONFIRMED = "the task manager has not confirmed the tasks that were started"


class InvocationStream:
    """Passes items on, each once what it may speak of is durable (promise 1); a comment after silence."""

    def __init__(
        self,
        items: ItemStream,
        durability: Durability,
        *,
        ack_timeout: float,
        keepalive: float,
        on_error: Callable[[Failure], Awaitable[dict[str, object]]],
        on_close: Callable[[], None],
    ) -> None:
        self._items = items
        self._durability = durability
        self._ack_timeout = ack_timeout
        self._keepalive = keepalive
        #: Says what the client is told of an error.
        self._on_error = on_error
        self._on_close = on_close
        #: What ``begin`` found: durable, and not passed on yet.
        self._first: Item | End | None = None
        self._ended = False
        self._closed = False

    async def begin(self, wait: float) -> None:
        """Wait up to ``wait`` seconds for the first item, and until it may be told.

        Raises:
            TimeoutError: it may not yet, the time for that being over.
        """
        first = await self._items.next(wait)
        if first is not None:
            await self._durability.acknowledged(first.watermark, self._ack_timeout)
        self._first = first

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        arrival, self._first = self._first, None
        if arrival is None:
            arrival = await self._items.next(self._keepalive)
            if arrival is None:
                return KEEPALIVE
            try:
                await self._durability.acknowledged(arrival.watermark, self._ack_timeout)
            except TimeoutError:
                self._ended = True
                return await self._error(Failure.of(TimeoutError(_NOT_CONFIRMED)))
        if isinstance(arrival, Item):
            return arrival.data
        self._ended = True
        if arrival.error is None:
            raise StopAsyncIteration
        return await self._error(arrival.error)

    async def aclose(self) -> None:
        """Close the generator, if it has not ended."""
        if not self._closed:
            self._closed = self._ended = True
            self._items.close()
            self._on_close()

    async def _error(self, failure: Failure) -> bytes:
        told = {**await self._on_error(failure), "message": "An error occurred during streaming"}
        return sse_event(json.dumps(told, ensure_ascii=False))
