"""A front behind a lock."""

from __future__ import annotations

import contextlib

from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.denial import deny
from outlastd.front_door.door import Front
from outlastd.front_door.lock import Lock
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, refusal_response


class Locked:
    """Passes on what the lock lets in."""

    def __init__(self, lock: Lock, front: Front) -> None:
        self._lock = lock
        self._front = front

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; see Door."""
        try:
            self._lock.open(request)
        except Refusal as refusal:
            return refusal_response(refusal)
        return await self._front.handle(request)

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a WebSocket connection; see Door."""
        try:
            self._lock.open(request)
        except Refusal as refusal:
            with contextlib.suppress(OSError):  # the client left
                await deny(refusal, request.scope, send)
        else:
            await self._front.websocket(request, receive, send)
