"""What a ``/ws`` handler gets where Starlette is not installed: a WebSocket with the interface of Starlette's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from enum import Enum
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from outlast.request_state import State

#: An event of ASGI, named by its ``type``.
Message = MutableMapping[str, Any]
Mode = Literal["text", "binary"]


class WebSocketDisconnect(Exception):
    """The client has closed the connection, or has left without a word (code 1006)."""

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason or ""


class WebSocketDisconnected(RuntimeError):
    """The connection is used before ``accept()``, or after its end."""


class WebSocketState(Enum):
    """How far one side of a connection has come."""

    CONNECTING = 0
    CONNECTED = 1
    DISCONNECTED = 2
    RESPONSE = 3


class Address(NamedTuple):
    """Where a client is."""

    host: str
    port: int


class URL(str):
    """An address, with its parts as attributes: ``scheme``, ``hostname``, ``port``, ``path``, ``query``."""

    def __getattr__(self, part: str) -> Any:
        return getattr(urlsplit(self), part)


class Pairs(Mapping[str, str]):
    """Names and values, of which a name may have several."""

    def __init__(self, pairs: Iterable[tuple[str, str]], *, any_case: bool = False) -> None:
        self._name_of = str.lower if any_case else str
        self._pairs = [(self._name_of(name), value) for name, value in pairs]
        self._any_case = any_case

    def __getitem__(self, name: str) -> str:
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        return values[0 if self._any_case else -1]  # Starlette takes the first header, and the last query parameter

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def multi_items(self) -> list[tuple[str, str]]:
        """Return all of them, in order."""
        return list(self._pairs)

    def getlist(self, name: str) -> list[str]:
        """Return every value of a name, in order."""
        wanted = self._name_of(name)
        return [value for own, value in self._pairs if own == wanted]


class WebSocket:
    """One connection. ``accept()`` it, then receive and send as you like."""

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        #: The connection as ASGI describes it.
        self.scope = scope
        self.headers = Pairs(
            ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]), any_case=True
        )
        self._query = scope.get("query_string", b"").decode("latin-1")
        self.query_params = Pairs(parse_qsl(self._query, keep_blank_values=True))
        self.path_params: dict[str, Any] = scope.get("path_params", {})
        client = scope.get("client")
        #: Where the client is; None where that is not known.
        self.client = Address(*client) if client else None
        self.state = State(scope.setdefault("state", {}))
        #: How far the client has come, by what was received, and the handler, by what was sent.
        self.client_state = WebSocketState.CONNECTING
        self.application_state = WebSocketState.CONNECTING
        self._receive = receive
        self._send = send

    @property
    def url(self) -> URL:
        """The address that the client asked for."""
        host = self.headers.get("host", "localhost")
        return URL(f"{self.scope['scheme']}://{host}{self.scope['path']}{'?' if self._query else ''}{self._query}")

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Let the client in, with one of the sub-protocols that it offers and with headers of your own."""
        if self.client_state is WebSocketState.CONNECTING:
            await self.receive()
        await self.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(headers or ())})

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection; before ``accept()`` the client gets an HTTP 403."""
        await self.send({"type": "websocket.close", "code": code, "reason": reason or ""})

    async def receive(self) -> Message:
        """Return the next event as ASGI has it, the end of the connection among them."""
        if self.client_state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected("the client has left, and nothing more comes: stop at WebSocketDisconnect")
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.client_state = WebSocketState.DISCONNECTED
        else:
            self.client_state = WebSocketState.CONNECTED
        return message

    async def send(self, message: Message) -> None:
        """Send an event as ASGI has it."""
        kind, state = message["type"], self.application_state
        if state is WebSocketState.DISCONNECTED:
            raise WebSocketDisconnected("the connection is closed: nothing can be sent any more")
        if state is WebSocketState.CONNECTING and kind == "websocket.send":
            raise WebSocketDisconnected("the connection is not open yet: await websocket.accept() first")
        if state is WebSocketState.CONNECTED and kind not in ("websocket.send", "websocket.close"):
            raise RuntimeError(f"{kind} comes too late: the connection has been accepted")
        self.application_state = _next_state(message, state)
        try:
            await self._send(message)
        except OSError as error:
            self.application_state = WebSocketState.DISCONNECTED
            raise WebSocketDisconnect(1006) from error

    async def receive_text(self) -> str:
        """Return the next message, which is a text."""
        text = (await self._message()).get("text")
        if not isinstance(text, str):
            raise TypeError("a binary message came where a text was expected: take it with receive_bytes()")
        return text

    async def receive_bytes(self) -> bytes:
        """Return the next message, which is binary."""
        data = (await self._message()).get("bytes")
        if not isinstance(data, bytes):
            raise TypeError("a text came where a binary message was expected: take it with receive_text()")
        return data

    async def receive_json(self, mode: Mode = "text") -> Any:
        """Return what the JSON of the next message says."""
        return json.loads(await (self.receive_text() if _is_text(mode) else self.receive_bytes()))

    async def send_text(self, data: str) -> None:
        """Send a text."""
        await self.send({"type": "websocket.send", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self.send({"type": "websocket.send", "bytes": data})

    async def send_json(self, data: Any, mode: Mode = "text") -> None:
        """Send a value as JSON, in UTF-8."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        await (self.send_text(text) if _is_text(mode) else self.send_bytes(text.encode()))

    async def iter_text(self) -> AsyncIterator[str]:
        """Yield texts until the client leaves."""
        async for text in _until_disconnect(self.receive_text):
            yield text

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Yield binary messages until the client leaves."""
        async for data in _until_disconnect(self.receive_bytes):
            yield data

    async def iter_json(self) -> AsyncIterator[Any]:
        """Yield what the JSON of each message says until the client leaves."""
        async for value in _until_disconnect(self.receive_json):
            yield value

    async def _message(self) -> Message:
        if self.application_state is WebSocketState.CONNECTING:
            raise WebSocketDisconnected("the connection is not open yet: await websocket.accept() first")
        message = await self.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        return message


def _next_state(message: Message, state: WebSocketState) -> WebSocketState:
    """Return how far the handler has come once ``message`` is sent."""
    match message["type"]:
        case "websocket.accept":
            return WebSocketState.CONNECTED
        case "websocket.close":
            return WebSocketState.DISCONNECTED
        case "websocket.http.response.start":
            return WebSocketState.RESPONSE
        case "websocket.http.response.body" if not message.get("more_body", False):
            return WebSocketState.DISCONNECTED
    return state


def _is_text(mode: Mode) -> bool:
    if mode not in ("text", "binary"):
        raise ValueError(f"mode is {mode!r}; it can be 'text' or 'binary'")
    return mode == "text"


async def _until_disconnect(receive: Callable[[], Awaitable[Any]]) -> AsyncIterator[Any]:
    try:
        while True:
            yield await receive()
    except WebSocketDisconnect:
        return
