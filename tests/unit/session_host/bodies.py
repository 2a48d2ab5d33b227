"""Bodies that come in pieces, and what is open in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable

from multidict import CIMultiDict, CIMultiDictProxy

from outlastd.front_door.request import Request


def request_of(pieces: Iterable[bytes], error: Exception | None = None) -> Request:
    """Return a request whose body comes in these pieces, and may break off then."""

    async def give(limit: int) -> AsyncGenerator[bytes, None]:
        for piece in pieces:
            yield piece
        if error is not None:
            raise error

    async def read(limit: int) -> bytes:
        raise AssertionError("the body is to be read piece by piece")

    return Request("POST", "/", "", CIMultiDictProxy(CIMultiDict()), "", read, pieces=give)


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/dev/fd"))


async def threads_ended() -> None:
    """Wait until the loop's threads have done what they were given; they do nothing more."""
    await asyncio.get_running_loop().shutdown_default_executor()
