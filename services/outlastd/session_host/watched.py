"""The body of an answer, with what follows its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from outlastd.front_door.response import Chunks


class Watched:
    """A body, and what is to be done once it has been closed."""

    def __init__(self, body: Chunks, closed: Callable[[], Awaitable[object]]) -> None:
        self._body = body
        self._closed = closed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._body)

    async def aclose(self) -> None:
        """Close the body, and do that."""
        try:
            await self._body.aclose()
        finally:
            await self._closed()
