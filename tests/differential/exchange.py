"""Requests whose every byte is the test's own, over real sockets, and what comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPResponse, IncompleteRead
from typing import Any

#: Seconds that an answer may take before it counts as never coming.
PATIENCE = 30.0

SESSION_ID = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_ID = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True)
class Asked:
    """One request. ``Host`` and the length of the body are added; nothing else is."""

    method: str
    target: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    #: Whether the body goes out in chunks, and so without a Content-Length.
    chunked: bool = False

    def head(self) -> bytes:
        """Return everything before the body."""
        lines = [f"{self.method} {self.target} HTTP/1.1".encode("latin-1"), b"Host: localhost"]
        lines += [_bytes(name) + b": " + _bytes(value) for name, value in self.headers]
        if self.chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.body or self.method == "POST":
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", b""])

    def payload(self) -> bytes:
        """Return the body as it goes over the wire."""
        if not self.chunked:
            return self.body
        size = max(7, len(self.body) // 20)
        pieces = [self.body[start : start + size] for start in range(0, len(self.body), size)]
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])

    def names(self, header: str) -> bool:
        """Tell whether a header of this name is among its own."""
        return any(_bytes(name).lower() == header.lower().encode() for name, _ in self.headers)


def post(payload: object, headers: Iterable[Header] = ()) -> Asked:
    """Return an invocation with ``payload`` as JSON."""
    return post_bytes(json.dumps(payload).encode(), headers)


def post_bytes(body: bytes, headers: Iterable[Header] = (), *, chunked: bool = False) -> Asked:
    """Return an invocation with a body as it stands."""
    return Asked("POST", "/invocations", (("Content-Type", "application/json"), *headers), body, chunked)


def get(target: str, headers: Iterable[Header] = ()) -> Asked:
    """Return a GET."""
    return Asked("GET", target, tuple(headers))


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers are in lower case, in the order of the wire."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: Whether the body came to its end, or the connection did before.
    whole: bool = True

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of a header; None when there is none."""
        return next((value for own, value in self.headers if own == name.lower()), None)


def exchange(address: tuple[str, int], asked: Asked) -> Answer:
    """Send a request on a connection of its own and return the answer."""
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        connection.sendall(asked.head() + asked.payload())
        return read_answer(connection, asked.method)


def read_answer(connection: socket.socket, method: str = "POST") -> Answer:
    """Return the answer that comes over a connection; an interim one (100 Continue) is passed over."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        try:
            return Answer(response.status, headers, response.read())
        except IncompleteRead as broken:
            return Answer(response.status, headers, broken.partial, whole=False)
    finally:
        response.close()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
