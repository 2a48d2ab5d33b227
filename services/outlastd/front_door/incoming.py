"""What every adapter checks of what comes in: headers that are text, bodies within bounds of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

from outlastd.front_door.request import Refusal

#: Seconds that a client may leave us waiting for the next piece of its body, or for room for the next piece of ours.
IO_TIMEOUT = 60.0


def check_headers(raw_headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise Refusal with 400 when the value of a header is no text."""
    for name, value in raw_headers:
        if not value.isascii():
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                shown = name.decode("ascii", "replace")
                raise Refusal(400, "Invalid header", details=f"{shown} is no text in UTF-8") from None


async def body_pieces(
    next_piece: Callable[[], Awaitable[bytes | None]], limit: int, io_timeout: float
) -> AsyncGenerator[bytes, None]:
    """Give a body's pieces as they come; ``next_piece`` returns None at its end.

    Raises:
        Refusal: it has more than ``limit`` bytes (413), or nothing came for ``io_timeout`` seconds (408).
    """
    size = 0
    while True:
        try:
            async with asyncio.timeout(io_timeout):
                piece = await next_piece()
        except TimeoutError:
            raise Refusal(408, f"the body did not come: nothing for {io_timeout:g} s") from None
        if piece is None:
            return
        size += len(piece)
        check_size(size, limit)
        yield piece


def check_size(size: int, limit: int) -> None:
    """Raise Refusal with 413 when a body of ``size`` bytes is over the limit."""
    if size > limit:
        raise Refusal(413, f"the body is over the limit of {limit:,} bytes (OUTLAST_MAX_BODY_BYTES)")
