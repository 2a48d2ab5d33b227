"""The adapter that serves the front door through aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

from aiohttp import ClientPayloadError

from outlastd.front_door import aiohttp_web as web
from outlastd.front_door.aiohttp_plain import plain_response
from outlastd.front_door.aiohttp_response import response_in_pieces, whole_response
from outlastd.front_door.aiohttp_websocket import AiohttpWebSocket, asks_for_websocket
from outlastd.front_door.connection import Connection
from outlastd.front_door.door import Front
from outlastd.front_door.guard import is_loopback
from outlastd.front_door.incoming import IO_TIMEOUT, body_pieces, check_headers, check_size
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Response, refusal_response

#: Seconds that a connection stays open with nothing to do.
IDLE_TIMEOUT = 75.0
#: Bytes: a path with its query, and one header; `baggage` alone may have 8 KiB.
MAX_LINE = 16 * 1024
MAX_HEADER = 32 * 1024
#: Connections that may wait to be accepted.
BACKLOG = 1024
#: Seconds that connections have to end by themselves once their time is up.
CLOSE_TIMEOUT = 0.2

# What aiohttp has to say is about clients; our own errors are logged where they are caught.
_silent = logging.getLogger("outlast.front_door.aiohttp")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class AiohttpServer:
    """Serves the door on one listener. Made on the loop that it runs on."""

    def __init__(
        self,
        door: Front,
        *,
        io_timeout: float = IO_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        refused: Callable[[Refusal], Response] = refusal_response,
    ) -> None:
        """``refused`` makes the answer to what never reaches the door."""
        #: What requests are passed on to.
        self.door = door
        self._io_timeout = io_timeout
        # A client that leaves does not cancel its handler: plain ones run to completion (contract section 1.3).
        self._server = web.Server(self._handle, handler_cancellation=False)
        self._idle_timeout = idle_timeout
        self._refused = refused
        self._listener: asyncio.Server | None = None
        self._socket: Path | None = None
        self._on_loopback = False
        self._websockets: set[asyncio.Task[Any]] = set()
        self._numbers = itertools.count(1)
        #: What the program's lifespan has to say to each request.
        self.state: Mapping[str, Any] = {}

    async def listen(self, host: str, port: int) -> list[tuple[str, int]]:
        """Begin to serve; return the addresses. Raises OSError when the listener cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connect, host, port, backlog=BACKLOG)
        addresses = [socket.getsockname()[:2] for socket in self._listener.sockets]
        self._on_loopback = all(is_loopback(address) for address, _ in addresses)
        return addresses

    async def listen_socket(self, path: Path) -> None:
        """Begin to serve a Unix socket that only this user can open; one that was left there is replaced.

        Raises:
            OSError: it cannot be had; a path of more than about 100 bytes cannot.
        """
        listener = await asyncio.to_thread(_bind, path)
        self._socket = path
        self._on_loopback = True
        self._listener = await asyncio.get_running_loop().create_unix_server(
            self._connect, sock=listener, backlog=BACKLOG
        )

    async def stop_listening(self) -> None:
        """Take no more connections, and close those that have nothing to do."""
        if self._listener is not None:
            self._listener.close()
        self._server.pre_shutdown()

    async def close(self) -> None:
        """Close every connection, whatever it is at."""
        if self._websockets:  # of which the handlers have ended: what is left is the client's answer to the close
            await asyncio.wait(self._websockets, timeout=CLOSE_TIMEOUT)
        await self._server.shutdown(CLOSE_TIMEOUT)
        if self._socket is not None:
            await asyncio.to_thread(self._socket.unlink, missing_ok=True)

    def _connect(self) -> Connection:
        connection = Connection(
            self._server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._idle_timeout,
            max_line_size=MAX_LINE,
            max_field_size=MAX_HEADER,
            auto_decompress=False,  # a body is what the client sent; nor does a small one become a large one
            access_log=None,  # type: ignore[arg-type]  # None switches it off
            logger=_silent,
        )
        connection.number = next(self._numbers)
        connection.on_lost = None
        connection.upgraded = False
        connection.refused = self._refused
        return connection

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        try:
            request = self._request(raw)
            if asks_for_websocket(raw):
                return await self._websocket(raw, request)
            response = await self.door.handle(request)
        except Refusal as refusal:
            response = self._refused(refusal)
        except ClientGone as error:
            raise ConnectionResetError("the client left") from error
        if isinstance(response.body, bytes):
            plain = plain_response(raw, response)
            return whole_response(response) if plain is None else plain
        try:
            if raw.method == "HEAD":
                return whole_response(response, head_only=True)
            return await self._send_chunks(raw, response)
        finally:
            await response.body.aclose()

    async def _websocket(self, raw: web.BaseRequest, request: Request) -> web.StreamResponse:
        socket = AiohttpWebSocket(raw, request)
        this = asyncio.current_task()
        assert this is not None
        self._websockets.add(this)
        try:
            await self.door.websocket(request, socket.receive, socket.send)
            return await socket.finish()
        finally:
            socket.release()
            self._websockets.discard(this)

    async def _send_chunks(self, raw: web.BaseRequest, response: Response) -> web.StreamResponse:
        assert not isinstance(response.body, bytes)
        sending = response_in_pieces(response)
        connection, this = cast(Connection, raw.protocol), asyncio.current_task()
        assert this is not None
        # Without this a silent stream would hear of it at the next keepalive.
        connection.on_lost = this.cancel
        try:
            if raw.transport is None:
                raise ConnectionResetError("the client left")
            await sending.prepare(raw)
            async for chunk in response.body:
                async with asyncio.timeout(self._io_timeout):
                    await sending.write(chunk)
        except TimeoutError:
            connection.close()
            raise ConnectionResetError("the client reads no more") from None
        finally:
            connection.on_lost = None
        return sending

    def _request(self, raw: web.BaseRequest) -> Request:
        check_headers(raw.raw_headers)
        target, _, query_string = raw.raw_path.partition("?")
        if not target.startswith("/"):  # the absolute form, which proxies use
            target = raw.rel_url.raw_path
        connection = cast(Connection, raw.protocol)
        peername, sockname = connection.peername, connection.sockname  # which are looked up once for a connection
        return Request(
            raw.method,
            unquote(target) if "%" in target else target,
            query_string,
            raw.headers,
            raw.remote or "",
            partial(self._read, raw),
            pieces=partial(self._read_pieces, raw),
            raw_path=target,
            peer_port=peername[1] if isinstance(peername, tuple) else 0,
            own_port=sockname[1] if isinstance(sockname, tuple) else 0,
            connection=connection.number,
            on_loopback=self._on_loopback,
            state=self.state,
        )

    async def _read(self, raw: web.BaseRequest, limit: int) -> bytes:
        content = raw.content
        if content.is_eof() and content.exception() is None:
            body = content.read_nowait()
            check_size(len(body), limit)
            return body
        return b"".join([piece async for piece in self._read_pieces(raw, limit)])

    async def _read_pieces(self, raw: web.BaseRequest, limit: int) -> AsyncGenerator[bytes, None]:
        check_size(raw.content_length or 0, limit)
        content = raw.content
        if raw.headers.get("Expect", "").lower() == "100-continue" and raw.transport is not None:
            raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        async def next_piece() -> bytes | None:
            return await content.readany() or None

        try:
            async with contextlib.aclosing(body_pieces(next_piece, limit, self._io_timeout)) as pieces:
                async for piece in pieces:
                    yield piece
        except (ClientPayloadError, ConnectionError) as error:
            raise ClientGone from error


def _bind(path: Path) -> socket.socket:
    """Return a Unix socket with the path and nobody's rights but ours; nobody can connect before it listens."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener
