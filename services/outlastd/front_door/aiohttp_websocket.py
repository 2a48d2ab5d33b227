"""A WebSocket through aiohttp, in ASGI's events: what comes in, what goes out, and the closing handshake."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import cast

from aiohttp import WebSocketError, WSMessage, WSMsgType
from multidict import CIMultiDict

from outlastd.front_door import aiohttp_web as web
from outlastd.front_door.asgi_types import Message
from outlastd.front_door.connection import Connection
from outlastd.front_door.denial import EXTENSION
from outlastd.front_door.raw_headers import read_raw_headers
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import TEXT

#: Bytes of one message, at the most; as uvicorn has it.
MAX_MESSAGE = 16 * 1024 * 1024
#: Seconds of silence after which the client is asked whether it is there, and those that it has to answer.
HEARTBEAT = 20.0
#: Seconds that the client has to answer a close.
CLOSE_TIMEOUT = 10.0
#: Bytes of a close's reason, at the most (RFC 6455, section 5.5).
MAX_REASON = 123
#: Close codes: a client's without one, a client's that vanished.
NO_CODE = 1005
ABNORMAL = 1006


def asks_for_websocket(raw: web.BaseRequest) -> bool:
    """Tell whether a request wants to become a WebSocket."""
    headers = raw.headers
    wanted = headers.get("Upgrade")
    if wanted is None:
        return False
    return wanted.strip().lower() == "websocket" and "upgrade" in headers.get("Connection", "").lower()


class AiohttpWebSocket:
    """One connection, from the request to its end. Made and used on the services' loop."""

    def __init__(self, raw: web.BaseRequest, request: Request) -> None:
        """Make the request's scope one of a WebSocket.

        Raises:
            Refusal: the request is no handshake that RFC 6455 allows.
        """
        # Which sub-protocol is accepted is the handler's to say: aiohttp does not see what the client offers.
        headers = CIMultiDict(raw.headers)
        offered = ",".join(headers.popall("Sec-WebSocket-Protocol", ()))
        self._raw = raw.clone(headers=headers)
        # Compression would cost the loop that answers /ping.
        self._socket = web.WebSocketResponse(
            autoclose=False, autoping=False, compress=False, max_msg_size=MAX_MESSAGE + 1
        )
        if raw.method != "GET":
            raise Refusal(405, "a WebSocket is opened with GET", headers={"Allow": "GET"})
        if not self._socket.can_prepare(self._raw).ok:
            raise Refusal(400, "Bad request", details="the headers of this WebSocket handshake are not in order")
        scope = request.scope
        scope.pop("method", None)
        scope["type"], scope["scheme"], scope["extensions"] = "websocket", "ws", {EXTENSION: {}}
        scope["subprotocols"] = [name.strip() for name in offered.split(",") if name.strip()]
        self._denial: web.Response | None = None
        self._denial_body = b""
        self._connected = False
        self._accepted = False
        #: Set once it is known what becomes of the request.
        self._decided = asyncio.Event()
        #: Set by a close of ours: it cuts off a client that does not answer.
        self._cut: asyncio.TimerHandle | None = None
        self._pinging: asyncio.Task[None] | None = None
        #: A receive that was cancelled from another loop may take its time to end.
        self._receiving = asyncio.Lock()
        #: Whether somebody waits for the client, and whether it has said anything since the last look.
        self._listening = False
        self._heard = False
        cast(Connection, raw.protocol).on_lost = self._decided.set

    async def receive(self) -> Message:
        """Return the next event; at the end of the connection, that."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        await self._decided.wait()
        while self._accepted:
            await asyncio.sleep(0)  # who sends pings without end is got them without a pause: others want their turn
            message = await self._next()
            closing = self._cut is not None
            match message.type:
                case WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.TEXT if not closing:
                    return {"type": "websocket.receive", "text": message.data}
                case WSMsgType.BINARY if not closing:
                    return {"type": "websocket.receive", "bytes": message.data}
                case WSMsgType.CLOSE:
                    await self._answer_close(message.data, message.extra or "")
                    return _disconnect(message.data or NO_CODE, message.extra)
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    return _disconnect(message.data.code, str(message.data))
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    pass  # too late: this side has closed
                case _:
                    break
        return _disconnect(ABNORMAL)

    async def _next(self) -> WSMessage:
        async with self._receiving:
            self._listening = self._heard = True
            try:
                return await self._socket.receive()
            finally:
                self._listening, self._heard = False, True

    async def send(self, message: Message) -> None:
        """Send one event, and return when there is room for the next.

        Raises:
            ConnectionError: the client has left.
            RuntimeError: the event does not fit what was sent before.
        """
        kind = message["type"]
        if self._cut is not None or (self._denial is not None and kind != "websocket.http.response.body"):
            raise RuntimeError(f"{kind} cannot be sent: the connection has been closed")
        match kind:
            case "websocket.accept" if not self._accepted:
                await self._accept(message)
            case "websocket.send" if self._accepted:
                if (data := message.get("bytes")) is not None:
                    await self._socket.send_bytes(data)
                elif (text := message.get("text")) is not None:
                    await self._socket.send_str(text)
            case "websocket.close" if self._accepted:
                await self._close(message.get("code", 1000), message.get("reason") or "")
            case "websocket.close":
                self._denial = web.Response(status=403)
                self._decided.set()
            case "websocket.http.response.start" if not self._accepted:
                content_type, headers = read_raw_headers(message.get("headers", ()))
                self._denial = web.Response(status=message["status"], headers=headers)
                self._denial.headers["Content-Type"] = content_type or TEXT
            case "websocket.http.response.body" if self._denial is not None:
                self._denial_body += message.get("body", b"")
                self._decided.set()
            case _:
                raise RuntimeError(
                    f"{kind} cannot be sent now: the connection is {'' if self._accepted else 'not '}open"
                )

    async def finish(self) -> web.StreamResponse:
        """Return what aiohttp is to send or has sent: the handler has ended.

        A connection that was not closed is broken off, as uvicorn does it.
        """
        if not self._accepted:
            return self._refusal()
        if self._cut is not None:
            while (await self.receive())["type"] != "websocket.disconnect":
                pass
        self._break_off()
        return self._socket

    def release(self) -> None:
        """Let go of the connection, whatever it is at."""
        cast(Connection, self._raw.protocol).on_lost = None
        for timer in (self._pinging, self._cut):
            if timer is not None:
                timer.cancel()

    def _refusal(self) -> web.Response:
        response = self._denial or web.Response(status=500, text="Internal Server Error")
        if self._denial is not None:
            response.body = self._denial_body
        response.headers["Server"] = "outlast"
        response.force_close()
        return response

    async def _accept(self, message: Message) -> None:
        headers = self._socket.headers
        headers.extend(read_raw_headers(message.get("headers", ()))[1])
        if subprotocol := message.get("subprotocol"):
            headers["Sec-WebSocket-Protocol"] = subprotocol
        headers["Server"] = "outlast"
        if self._raw.transport is None:
            raise ConnectionResetError("the client has left")
        await self._socket.prepare(self._raw)
        self._accepted = True
        self._decided.set()
        cast(Connection, self._raw.protocol).upgraded = True
        self._pinging = asyncio.ensure_future(self._ping())

    async def _close(self, code: int, reason: str) -> None:
        if not may_close_with(code):
            raise ValueError(f"{code} is no code to close with: take 1000, another of RFC 6455, or 3000 to 4999")
        told = reason.encode()
        if len(told) > MAX_REASON:
            raise ValueError(f"the reason has {len(told)} bytes, over the limit of {MAX_REASON}")
        self._cut = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._abort)
        await self._socket.send_frame(struct.pack("!H", code) + told, WSMsgType.CLOSE)

    async def _answer_close(self, code: int, reason: str) -> None:
        if self._cut is None:
            with contextlib.suppress(ConnectionError):
                answer = struct.pack("!H", code) + reason.encode() if code else b""
                await self._socket.send_frame(answer, WSMsgType.CLOSE)
        self._break_off()

    async def _ping(self) -> None:
        """Ask a silent client whether it is there; one that does not answer has left."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._heard = False
                await asyncio.sleep(HEARTBEAT)
                if self._silent:
                    await self._socket.ping()
                    await asyncio.sleep(HEARTBEAT)
                    if self._silent:
                        self._abort()

    @property
    def _silent(self) -> bool:
        """Whether the client has said nothing; what is not read at present may have been said."""
        return self._listening and not self._heard

    def _break_off(self) -> None:
        if self._raw.transport is not None:
            self._raw.transport.close()

    def _abort(self) -> None:
        if self._raw.transport is not None:
            self._raw.transport.abort()


#: What RFC 6455 and its registry let a program close with.
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def may_close_with(code: int) -> bool:
    """Tell whether a program may close a connection with a code."""
    return code in _CODES or 3000 <= code <= 4999


def _disconnect(code: int, reason: str | None = None) -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason or ""}
