"""A request, as every part of the front door sees it; which server it came through does not show."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote

from multidict import CIMultiDict, CIMultiDictProxy

from outlast.request_state import State
from outlastd.front_door.raw_headers import raw_headers

#: Reads the whole body, given how many bytes it may have at the most; and the same piece by piece.
ReadBody = Callable[[int], Coroutine[Any, Any, bytes]]
ReadPieces = Callable[[int], AsyncGenerator[bytes, None]]


class Refusal(Exception):
    """A request is refused; the answer is ``status`` and the JSON object ``{"error": …}`` with more beside it."""

    def __init__(self, status: int, error: str, *, headers: dict[str, str] | None = None, **more: object) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.headers = headers or {}
        self.more = more


class ClientGone(Exception):
    """The client has left; nobody reads an answer."""


class Request:
    """One HTTP request. User code gets it as ``context.request`` and may look at method, path and headers."""

    __slots__ = (
        "_query",
        "_read",
        "_read_pieces",
        "_scope",
        "_state",
        "body",
        "connection",
        "headers",
        "method",
        "on_loopback",
        "own_port",
        "path",
        "peer",
        "peer_port",
        "query_string",
        "raw_path",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str,
        headers: CIMultiDictProxy[str],
        peer: str,
        read: ReadBody,
        *,
        pieces: ReadPieces | None = None,
        raw_path: str = "",
        peer_port: int = 0,
        own_port: int = 0,
        connection: int = 0,
        on_loopback: bool = False,
        scope: MutableMapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        #: The path, percent-decoded.
        self.path = path
        #: The path as it was sent.
        self.raw_path = raw_path or quote(path)
        #: What follows the question mark, as it was sent.
        self.query_string = query_string
        #: All headers; names are looked up in any case, values are text.
        self.headers = headers
        #: The address of whoever connected; empty where it is not known.
        self.peer = peer
        #: The port there; 0 where there is none.
        self.peer_port = peer_port
        #: The port of ours that it came to; 0 where there is none, or where that is not known.
        self.own_port = own_port
        #: Which connection of this server it came on; 0 where that is not known.
        self.connection = connection
        #: Whether it came to a listener that only this machine can reach.
        self.on_loopback = on_loopback
        #: The whole body, once it has been read for a handler that looks at the request; None else.
        self.body: bytes | None = None
        self._scope = scope
        #: What the program's lifespan has to say to each request.
        self._state = state or {}
        self._query: dict[str, list[str]] | None = None
        self._read = read
        self._read_pieces = pieces

    @property
    def scope(self) -> MutableMapping[str, Any]:
        """The ASGI scope: the one that it came with, where middleware may have left something, or one made for it."""
        if self._scope is None:
            self._scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": self.method,
                "scheme": "http",
                "path": self.path,
                "raw_path": self.raw_path.encode("utf-8", "surrogateescape"),
                "query_string": self.query_string.encode("utf-8", "surrogateescape"),
                "root_path": "",
                "headers": raw_headers(self.headers),
                "client": (self.peer, 0) if self.peer else None,
                "server": None,
                "state": dict(self._state),
            }
        return self._scope

    @property
    def scheme(self) -> str:
        """How it came, ``http`` or ``https``, as far as the server knows."""
        scheme: str = "http" if self._scope is None else self._scope.get("scheme", "http")
        return scheme

    @property
    def state(self) -> State:
        """The attributes over ``scope["state"]``, as on Starlette's requests."""
        return State(self.scope.setdefault("state", {}))

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name, each in order."""
        if self._query is None:
            self._query = parse_qs(self.query_string, keep_blank_values=True)
        return self._query

    def drop_header(self, name: str) -> None:
        """Take a header out of the request: nobody sees it any more."""
        kept = CIMultiDict(self.headers)
        kept.popall(name, None)
        self.headers = CIMultiDictProxy(kept)
        if self._scope is not None:
            raw = name.lower().encode()
            self._scope["headers"] = [pair for pair in self._scope["headers"] if pair[0].lower() != raw]

    def parameter(self, name: str) -> str:
        """Return the last value of a query parameter; empty when there is none."""
        return self.query.get(name, [""])[-1]

    @property
    def from_loopback(self) -> bool:
        """Whether whoever asks is on this machine; never so for what a proxy passed on."""
        if "X-Forwarded-For" in self.headers or "Forwarded" in self.headers:
            return False
        try:
            return ip_address(self.peer).is_loopback
        except ValueError:
            return False

    def read(self, limit: int) -> Coroutine[Any, Any, bytes]:
        """Return the whole body.

        Raises:
            Refusal: it has more than ``limit`` bytes, or comes too slowly.
            ClientGone: the client left before it was complete.
        """
        return self._read(limit)

    def pieces(self, limit: int) -> AsyncGenerator[bytes, None]:
        """Give the body piece by piece as it comes, instead of ``read``; raises what that raises."""
        return (self._read_pieces or self._whole)(limit)

    async def _whole(self, limit: int) -> AsyncGenerator[bytes, None]:
        yield await self._read(limit)
