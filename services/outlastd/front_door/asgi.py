"""The adapter that serves the front door to an ASGI server: uvicorn, a test client, an application that mounts ours.

It is called on the server's loop, where the server's ``receive`` and ``send`` run too; the door is on the services'
loop, and sees neither.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from multidict import CIMultiDict, CIMultiDictProxy

from outlastd.front_door.asgi_response import send_whole, start_event
from outlastd.front_door.asgi_types import ASGIApp, Message, Receive, Scope, Send
from outlastd.front_door.denial import deny
from outlastd.front_door.door import Front
from outlastd.front_door.guard import is_loopback
from outlastd.front_door.hop import from_elsewhere, run_to_the_end_on
from outlastd.front_door.incoming import IO_TIMEOUT, body_pieces, check_headers, check_size
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Chunks, Response, refusal_response

#: The status of a request whose client has left, as nginx has it.
CLIENT_GONE = 499


class AsgiEndpoint:
    """The door as an ASGI application; it may be called on any loop but the door's own."""

    def __init__(
        self, door: Front, services_loop: asyncio.AbstractEventLoop, *, io_timeout: float = IO_TIMEOUT
    ) -> None:
        self._door = door
        self._loop = services_loop
        self._io_timeout = io_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket connection."""
        serve = self._websocket if scope["type"] == "websocket" else self._http
        await run_to_the_end_on(self._loop, serve(scope, *from_elsewhere(receive, send)))

    # -- on the services' loop -------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._door.handle(request_of(scope, receive, self._io_timeout))
        except Refusal as refusal:
            response = refusal_response(refusal)
        except ClientGone:  # nobody hears it but the program's middleware, which fails without a response
            response = Response(CLIENT_GONE, b"", None)
        await self._send(response, scope.get("method") == "HEAD", receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._door.websocket(request_of(scope, receive, self._io_timeout), receive, send)

    async def _send(self, response: Response, head_only: bool, receive: Receive, send: Send) -> None:
        body = response.body
        if isinstance(body, bytes):
            await send_whole(response, send, head_only=head_only)
            return
        try:
            if head_only:
                await send_whole(response, send, head_only=True)
            else:
                await self._send_chunks(start_event(response), body, receive, send)
        finally:
            await body.aclose()

    async def _send_chunks(self, start: Message, body: Chunks, receive: Receive, send: Send) -> None:
        """Send until the body or the client is at its end."""

        async def pump() -> None:
            await send(start)
            async for chunk in body:
                async with asyncio.timeout(self._io_timeout):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        both = {asyncio.ensure_future(pump()), asyncio.ensure_future(_client_left(receive))}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        for task in done:
            error = task.exception()
            if error is not None and not isinstance(error, OSError):  # by one a server says that the client has left
                raise error


class Guarded:
    """An ASGI application behind the door's guard, or its lock: what a program has put in front of the door."""

    def __init__(self, check: Callable[[Request], None], app: ASGIApp) -> None:
        """``check`` lets a request pass or raises Refusal."""
        self._check = check
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is let in."""
        try:
            self._check(request_of(scope, receive))
        except Refusal as refusal:
            if scope["type"] == "websocket":
                await deny(refusal, scope, send)
            else:
                await send_whole(refusal_response(refusal), send)
        else:
            await self._app(scope, receive, send)


def request_of(scope: Scope, receive: Receive, io_timeout: float = IO_TIMEOUT) -> Request:
    """Return what a scope describes.

    Raises:
        Refusal: a header is no text.
    """
    check_headers(scope["headers"])
    headers = CIMultiDictProxy(
        CIMultiDict((name.decode("latin-1"), value.decode("utf-8")) for name, value in scope["headers"])
    )
    at_end = False

    async def next_piece() -> bytes | None:
        nonlocal at_end
        if at_end:
            return None
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        at_end = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def pieces(limit: int) -> AsyncGenerator[bytes, None]:
        declared = headers.get("Content-Length", "")
        check_size(int(declared) if declared.isdecimal() else 0, limit)
        async with contextlib.aclosing(body_pieces(next_piece, limit, io_timeout)) as arriving:
            async for piece in arriving:
                yield piece

    async def read(limit: int) -> bytes:
        return b"".join([piece async for piece in pieces(limit)])

    client, server = scope.get("client"), scope.get("server")
    return Request(
        scope.get("method", "GET"),
        _path(scope),
        scope.get("query_string", b"").decode("utf-8", "surrogateescape"),
        headers,
        client[0] if client else "",
        read,
        pieces=pieces,
        raw_path=(scope.get("raw_path") or b"").decode("utf-8", "surrogateescape"),
        peer_port=client[1] or 0 if client else 0,
        on_loopback=server is not None and is_loopback(server[0]),
        scope=scope,
    )


def _path(scope: Scope) -> str:
    """Return the path below where the application is mounted."""
    path: str = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :] or "/"
    return path


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
