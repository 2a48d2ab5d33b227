"""The adapter that serves the front door through aiohttp."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import cast
from urllib.parse import unquote

from aiohttp import ClientPayloadError, web
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from outlastd.front_door.connection import Connection
from outlastd.front_door.door import Door
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Response, refusal_response

#: Seconds that a client may leave us waiting for the next piece of its body, or for room for the next piece of ours.
IO_TIMEOUT = 60.0
#: Seconds that a connection stays open with nothing to do.
IDLE_TIMEOUT = 75.0
#: Bytes: a path with its query, and one header; `baggage` alone may have 8 KiB.
MAX_LINE = 16 * 1024
MAX_HEADER = 32 * 1024
#: Seconds that connections have to end by themselves once their time is up.
CLOSE_TIMEOUT = 0.2

# What aiohttp has to say is about clients; our own errors are logged where they are caught.
_silent = logging.getLogger("outlast.front_door.aiohttp")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


class AiohttpServer:
    """Serves a Door on one listener. Made on the loop that it runs on."""

    def __init__(self, door: Door, *, io_timeout: float = IO_TIMEOUT, idle_timeout: float = IDLE_TIMEOUT) -> None:
        self._door = door
        self._io_timeout = io_timeout
        # A client that leaves does not cancel its handler: plain ones run to completion (contract section 1.3).
        self._server = web.Server(self._handle, handler_cancellation=False)
        self._idle_timeout = idle_timeout
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> list[tuple[str, int]]:
        """Begin to serve; return the addresses. Raises OSError when the listener cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._connect, host, port, backlog=1024)
        return [socket.getsockname()[:2] for socket in self._listener.sockets]

    async def stop_listening(self) -> None:
        """Take no more connections, and close those that have nothing to do."""
        if self._listener is not None:
            self._listener.close()
        self._server.pre_shutdown()

    async def close(self) -> None:
        """Close every connection, whatever it is at."""
        await self._server.shutdown(CLOSE_TIMEOUT)

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
        connection.on_lost = None
        return connection

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._door.handle(self._request(raw))
        except Refusal as refusal:
            response = refusal_response(refusal)
        except ClientGone as error:
            raise ConnectionResetError("the client left") from error
        headers = response.headers
        headers["Server"] = "outlast"
        if response.content_type is not None:
            headers["Content-Type"] = response.content_type
        if isinstance(response.body, bytes):
            return web.Response(status=response.status, headers=headers, body=response.body)
        try:
            if raw.method == "HEAD":
                return web.Response(status=response.status, headers=headers)
            return await self._send_chunks(raw, response, headers)
        finally:
            await response.body.aclose()

    async def _send_chunks(
        self, raw: web.BaseRequest, response: Response, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        assert not isinstance(response.body, bytes)
        sending = web.StreamResponse(status=response.status, headers=headers)
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
        _check_text(raw.raw_headers)
        target, _, query_string = raw.raw_path.partition("?")
        if not target.startswith("/"):  # the absolute form, which proxies use
            target = raw.rel_url.raw_path
        path = unquote(target) if "%" in target else target
        return Request(raw.method, path, query_string, raw.headers, raw.remote or "", partial(self._read, raw))

    async def _read(self, raw: web.BaseRequest, limit: int) -> bytes:
        if (raw.content_length or 0) > limit:
            raise _too_large(limit)
        content = raw.content
        if content.is_eof():
            return _within(content.read_nowait(), limit)
        if raw.headers.get("Expect", "").lower() == "100-continue" and raw.transport is not None:
            raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces: list[bytes] = []
        size = 0
        try:
            while piece := await self._next_piece(content):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise _too_large(limit)
        except (ClientPayloadError, ConnectionError) as error:
            raise ClientGone from error
        return b"".join(pieces)

    async def _next_piece(self, content: StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._io_timeout):
                return await content.readany()
        except TimeoutError:
            raise Refusal(408, f"the body did not come: nothing for {self._io_timeout:g} s") from None


def _check_text(raw_headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in raw_headers:
        if not value.isascii():
            try:
                value.decode("utf-8")
            except UnicodeDecodeError:
                shown = name.decode("ascii", "replace")
                raise Refusal(400, "Invalid header", details=f"{shown} is no text in UTF-8") from None


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the body is over the limit of {limit:,} bytes (OUTLAST_MAX_BODY_BYTES)")
