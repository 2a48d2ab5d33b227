"""``/ws``: a client's WebSocket, passed on to the agent in its session, both ways (contract section 1.4)."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from contextlib import AsyncExitStack
from typing import NamedTuple

from aiohttp import ClientError, ClientWebSocketResponse, WebSocketError, WSMessage, WSMsgType, WSServerHandshakeError

from outlastd.front_door.aiohttp_websocket import (
    ABNORMAL,
    CLOSE_TIMEOUT,
    MAX_MESSAGE,
    MAX_REASON,
    NO_CODE,
    may_close_with,
)
from outlastd.front_door.asgi_types import Message, Receive, Send
from outlastd.front_door.request import Request
from outlastd.session_host.admission import Admission
from outlastd.session_host.api_error import ApiError, agent_failed
from outlastd.session_host.asking import ask, why_broken
from outlastd.session_host.auth import bearer
from outlastd.session_host.call import Call, read_call
from outlastd.session_host.config import HostConfig
from outlastd.session_host.room import Room
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.strict import Strict
from outlastd.session_host.use import Use

PATH = "/ws"
#: Close codes: all is well; the session ends; the other side has failed.
WELL, GOING_AWAY, FAILED = 1000, 1001, 1011
#: After these nothing comes any more.
_LAST = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})
_BROKEN = "the agent broke the connection off"


class Closed(NamedTuple):
    """How a side has closed, or what it is closed with."""

    code: int
    reason: str = ""

    @property
    def to_send(self) -> Closed:
        """What may be sent of it: some codes only say how a connection ended, and none may close with them."""
        code = WELL if self.code == NO_CODE else self.code if may_close_with(self.code) else GOING_AWAY
        return Closed(code, self.reason.encode()[:MAX_REASON].decode("utf-8", "ignore"))


class Sockets:
    """Serves connections. Lives on the services' loop."""

    def __init__(self, config: HostConfig, sessions: Sessions, admission: Admission, strict: Strict) -> None:
        self._config = config
        self._sessions = sessions
        self._admission = admission
        self._strict = strict
        self._room = Room(config.max_requests, "WebSocket connections")

    async def serve(self, request: Request, segment: str, receive: Receive, send: Send) -> None:
        """Serve one connection up to its end; ``receive`` and ``send`` pass ASGI's events (see Door).

        Raises:
            ApiError: there is no connection to be had, and nothing was sent.
        """
        async with AsyncExitStack() as stay:
            stay.callback(self._room.enter())
            caller = await self._admission.bodiless(request)
            call = read_call(request, segment, self._config, caller, websocket=True)
            try:
                use = await stay.enter_async_context(await self._sessions.use(call.key, caller, call.user))
                offered = [
                    name for name in request.scope["subprotocols"] if name.partition(".")[0] != bearer.SUBPROTOCOL
                ]
                agent = await self._open(use, call, offered, stay)
            except ApiError as error:
                error.headers |= call.answer_headers
                raise
            await _accept(request, call, agent, receive, send)
            began = time.monotonic()
            try:
                await _Link(use, call, agent, receive, send, self._strict).run()
            finally:
                self._strict.connection_ended(call.key, time.monotonic() - began)

    async def _open(self, use: Use, call: Call, protocols: list[str], stay: AsyncExitStack) -> ClientWebSocketResponse:
        opening = use.guest.websocket(PATH, headers=call.headers, protocols=protocols, max_message=MAX_MESSAGE + 1)

        async def open_it() -> ClientWebSocketResponse:
            try:
                return await stay.enter_async_context(opening)
            except WSServerHandshakeError as refused:
                message = f"Received error ({refused.status}) from runtime: it refuses the WebSocket"
                failure = agent_failed(message)
                failure.status = refused.status if 400 <= refused.status < 600 else failure.status
                raise failure from None

        return await ask(use, open_it(), self._config.invocation_timeout)


async def _accept(request: Request, call: Call, agent: ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    protocol = agent.protocol
    if protocol is None and bearer.SUBPROTOCOL in request.scope["subprotocols"]:
        protocol = bearer.SUBPROTOCOL  # browsers close a connection that takes none of what they offered
    headers = [(name.lower().encode(), value.encode()) for name, value in call.answer_headers.items()]
    with contextlib.suppress(OSError):  # the client has left: the first receive says so
        await send({"type": "websocket.accept", "subprotocol": protocol, "headers": headers})


class _Link:
    """The two sides of one connection."""

    def __init__(
        self, use: Use, call: Call, agent: ClientWebSocketResponse, receive: Receive, send: Send, strict: Strict
    ) -> None:
        self._use = use
        self._key = call.key
        self._agent = agent
        self._receive = receive
        self._send = send
        self._strict = strict

    async def run(self) -> None:
        """Pass everything on until one side closes, or the session ends; then close what is open."""
        client, agent = asyncio.ensure_future(self._from_client()), asyncio.ensure_future(self._from_agent())
        ended = asyncio.ensure_future(self._use.until_ended())
        parts = [client, agent, ended]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            if client in done:
                closed = client.result()
            elif ended in done:
                closed = Closed(GOING_AWAY, ended.result())
            else:
                closed = agent.result()
                if closed.code == ABNORMAL:
                    why = await why_broken(ended, "")
                    closed = Closed(GOING_AWAY, why) if why else Closed(FAILED, _BROKEN)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
        await asyncio.gather(self._close_agent(closed.to_send), self._close_client(closed.to_send, client))

    async def _from_client(self) -> Closed:
        """Pass on what the client sends; return how it closes."""
        while True:
            await asyncio.sleep(0)  # what has come already is got without a pause: others have to have their turn
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return Closed(message.get("code", NO_CODE), message.get("reason") or "")
            try:
                if (text := message.get("text")) is not None:
                    self._note(len(text))
                    await self._agent.send_str(text)
                else:
                    data = message.get("bytes") or b""
                    self._note(len(data))
                    await self._agent.send_bytes(data)
            except (ClientError, OSError):  # how it has closed is for the other direction to hear
                continue

    async def _from_agent(self) -> Closed:
        """Pass on what the agent sends; return how it closes."""
        while True:
            message = await self._next_of_agent()
            match message.type:
                case WSMsgType.TEXT:
                    self._note(len(message.data))
                    await self._pass({"type": "websocket.send", "text": message.data})
                case WSMsgType.BINARY:
                    self._note(len(message.data))
                    await self._pass({"type": "websocket.send", "bytes": message.data})
                case WSMsgType.PING:
                    with contextlib.suppress(ClientError, OSError):
                        await self._agent.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.CLOSE:
                    return Closed(message.data or NO_CODE, message.extra or "")
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    return Closed(message.data.code, str(message.data))
                case _:
                    return Closed(ABNORMAL)

    async def _next_of_agent(self) -> WSMessage:
        await asyncio.sleep(0)  # as for the client's
        return await self._agent.receive()

    def _note(self, size: int) -> None:
        self._use.touch()
        self._strict.frame(self._key, size)

    async def _pass(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # the client has left, which the other direction hears
            await self._send(message)

    async def _close_client(self, closed: Closed, client: asyncio.Future[Closed]) -> None:
        if client.cancelled():  # else it has closed by itself
            await self._pass({"type": "websocket.close", "code": closed.code, "reason": closed.reason})

    async def _close_agent(self, closed: Closed) -> None:
        with contextlib.suppress(ClientError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._agent.send_frame(struct.pack("!H", closed.code) + closed.reason.encode(), WSMsgType.CLOSE)
                while (await self._next_of_agent()).type not in _LAST:
                    pass
