"""The handling of a request, from our own values to our own values; aiohttp is one adapter of it."""

from __future__ import annotations

import contextlib
from typing import Protocol

from outlast.telemetry.log import get_logger
from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.denial import deny
from outlastd.front_door.guard import Guard
from outlastd.front_door.lock import Lock
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Response, json_response, refusal_response
from outlastd.front_door.router import Router
from outlastd.front_door.websockets import PATH as WEBSOCKET_PATH
from outlastd.front_door.websockets import WebSockets


class Front(Protocol):
    """What an adapter passes on to: the door, or the program's middleware before it."""

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; see Door."""
        ...

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a WebSocket connection; see Door."""
        ...


class Door:
    """Lets requests in and answers every one of them."""

    def __init__(self, guard: Guard, router: Router, websockets: WebSockets, lock: Lock | None = None) -> None:
        self.guard = guard
        #: What an adapter asks before anything else; None where there is no secret.
        self.lock = lock
        self._router = router
        self._websockets = websockets

    def route_of(self, request: Request) -> str:
        """Return the pattern of the path that a request is answered at; empty where there is nothing."""
        return WEBSOCKET_PATH if request.path == WEBSOCKET_PATH else self._router.route_of(request.path)

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; whoever gets a body of chunks closes it.

        Raises:
            ClientGone: the client left before its request was complete.
        """
        try:
            self.guard.check(request)
        except Refusal as refusal:
            return refusal_response(refusal)
        try:
            response = self.guard.preflight(request) or await self._router.dispatch(request)
        except Refusal as refusal:
            response = refusal_response(refusal)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours: the operator sees it, the caller does not
            get_logger().error("a request failed", error=error, method=request.method, path=request.path)
            response = json_response({"error": "Internal error"}, 500)
        self.guard.mark(request, response)
        return response

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a request that asks for a WebSocket, on any path, up to the end of the connection.

        ``receive`` and ``send`` pass ASGI's WebSocket events, and are called on the services' loop; ``request.scope``
        is a scope of the type "websocket". Everything that the client is told goes through ``send``, refusals too: as
        an HTTP response where ``scope["extensions"]`` has "websocket.http.response", else as a ``websocket.close``
        before the accept, which servers make a 403 of. Returning without a close leaves it to the adapter to break
        the connection off.
        """
        try:
            self.guard.check(request)
            await self._websockets.serve(request, receive, send)
        except Refusal as refusal:
            with contextlib.suppress(OSError):  # the client left
                await deny(refusal, request.scope, send)
        except Exception as error:  # a fault of ours
            get_logger().error("a WebSocket failed", error=error, path=request.path)
