"""The common answer, a small body on a connection that stays open, through aiohttp in one write.

The bytes are those that aiohttp makes of it. It makes them anew for every answer, which cost as much as reading the
request did; here the head of each kind of answer is kept as text.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import HttpVersion11

from outlastd.front_door import aiohttp_web as web
from outlastd.front_door.response import BODILESS, Response

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

#: Headers that aiohttp weighs: an answer that has one of them is left to it.
_WEIGHED = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "date", "server", "transfer-encoding"}
)
#: Bytes of a body up to which it is copied behind its head: more would cost more than a second write does.
_MAX_BODY = 64 * 1024
_BODILESS_METHODS = frozenset({"HEAD", "CONNECT"})
_REASONS = {status.value: status.phrase for status in HTTPStatus}


def plain_response(raw: web.BaseRequest, response: Response) -> web.StreamResponse | None:
    """Return a response whose body is all there, ready to be sent to who asked; None for one that is not common."""
    body = response.body
    if (
        response.content_type is None
        or not isinstance(body, bytes)
        or len(body) > _MAX_BODY
        or raw.version != HttpVersion11
        or not raw.keep_alive
        or raw.method in _BODILESS_METHODS
    ):
        return None
    head = _head(response.status, response.content_type)
    if head is None:
        return None
    more = ""
    if response.headers:
        for name, value in response.headers.items():
            if name.lower() in _WEIGHED or not (name.isascii() and name.isprintable() and value.isprintable()):
                return None
            more += f"{name}: {value}\r\n"
    first, middle = head
    return _Plain(f"{first}{more}{middle}{len(body)}\r\nDate: {_date()}\r\n\r\n".encode() + body)


class _Plain(web.StreamResponse):
    """Bytes that are an answer already."""

    _to: AbstractStreamWriter

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._to = request.writer
        return self._to

    async def write_eof(self, data: bytes = b"") -> None:
        await self._to.write_eof(self._answer)


@lru_cache(maxsize=256)  # statuses and content types are few; the bound is for a program that makes some up
def _head(status: int, content_type: str) -> tuple[str, str] | None:
    """Return how an answer begins, and how it goes on behind its own headers; None where aiohttp is to decide."""
    if status < 200 or status in BODILESS or not content_type.isprintable():
        return None
    first = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"
    return first, f"Server: outlast\r\nContent-Type: {content_type}\r\nContent-Length: "


#: A Unix second, and what it is in HTTP: written once for all answers of that second.
_second: tuple[int, str] = (0, formatdate(0, usegmt=True))


def _date() -> str:
    global _second
    now = int(time.time())
    second, text = _second
    if now != second:
        text = formatdate(now, usegmt=True)
        _second = now, text
    return text
