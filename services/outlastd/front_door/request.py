"""A request, as every part of the front door sees it; which server it came through does not show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import parse_qs

from multidict import CIMultiDictProxy

#: Reads the whole body, given how many bytes it may have at the most.
ReadBody = Callable[[int], Awaitable[bytes]]


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

    __slots__ = ("_query", "_query_string", "_read", "headers", "method", "path", "peer")

    def __init__(
        self, method: str, path: str, query_string: str, headers: CIMultiDictProxy[str], peer: str, read: ReadBody
    ) -> None:
        self.method = method
        #: The path, percent-decoded.
        self.path = path
        #: All headers; names are looked up in any case, values are text.
        self.headers = headers
        #: The address of whoever connected; empty where it is not known.
        self.peer = peer
        self._query_string = query_string
        self._query: dict[str, list[str]] | None = None
        self._read = read

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name, each in order."""
        if self._query is None:
            self._query = parse_qs(self._query_string, keep_blank_values=True)
        return self._query

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

    async def read(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            Refusal: it has more than ``limit`` bytes, or comes too slowly.
            ClientGone: the client left before it was complete.
        """
        return await self._read(limit)
