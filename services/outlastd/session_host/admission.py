"""Lets requests in: who sends them, and what they carry."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from contextlib import ExitStack
from typing import TypeVar

from outlastd.front_door.request import Refusal, Request
from outlastd.session_host.api_error import ApiError, invalid
from outlastd.session_host.ports import Authenticator
from outlastd.session_host.principal import Principal
from outlastd.session_host.room import Room
from outlastd.session_host.spool import SpooledBody, spool

#: Bytes of a body that is no payload; and of one that takes nobody else's place while it comes.
MAX_SMALL_BODY = 64 * 1024
#: Seconds that a body may take to come, however steadily.
ARRIVAL_TIMEOUT = 900.0
_SLOW = "RequestTimeoutException"
_NOTHING = hashlib.sha256(b"").hexdigest()

T = TypeVar("T")


class Admission:
    """Finds out who sends a request. A signature covers the body: before all of it is there, nobody is believed."""

    def __init__(self, authenticator: Authenticator, max_large: int) -> None:
        """``max_large`` bodies over 64 KiB may come at a time."""
        self._authenticator = authenticator
        self._large = Room(max_large, "large bodies")

    async def spooled(self, request: Request, limit: int) -> tuple[Principal, SpooledBody]:
        """Return who sends a request, and its body, which the caller closes.

        Raises:
            ApiError: it is nobody who may call; the body is too large, or came too slowly.
            ClientGone: the client left before it was complete.
        """
        claim = await self._authenticator.read(request)
        with ExitStack() as stay:
            if not _is_small(request):
                stay.callback(self._large.enter())
            body = await _arrived(spool(request, limit), limit)
        try:
            return claim.prove(body.sha256), body
        except BaseException:
            await body.close()
            raise

    async def small(self, request: Request) -> tuple[Principal, bytes]:
        """Return who sends a request, and its body, which is a small one. Raises what ``spooled`` raises."""
        claim = await self._authenticator.read(request)
        body = await _arrived(request.read(MAX_SMALL_BODY), MAX_SMALL_BODY)
        return claim.prove(hashlib.sha256(body).hexdigest()), body

    async def bodiless(self, request: Request) -> Principal:
        """Return who sends a request that has no body to read, as a WebSocket's. Raises ApiError."""
        return (await self._authenticator.read(request)).prove(_NOTHING)


def _is_small(request: Request) -> bool:
    length = request.headers.get("Content-Length", "" if "Transfer-Encoding" in request.headers else "0")
    return length.isdecimal() and int(length) <= MAX_SMALL_BODY


async def _arrived(body: Awaitable[T], limit: int) -> T:
    """Return a body that was awaited; raise ApiError where the front door would refuse it."""
    try:
        async with asyncio.timeout(ARRIVAL_TIMEOUT):
            return await body
    except TimeoutError:
        raise ApiError(408, _SLOW, f"The body has not come within {ARRIVAL_TIMEOUT:g} s") from None
    except Refusal as refusal:
        if refusal.status == 413:
            raise invalid(f"The body is over the limit of {limit:,} bytes") from None
        raise ApiError(refusal.status, _SLOW, refusal.error) from None
