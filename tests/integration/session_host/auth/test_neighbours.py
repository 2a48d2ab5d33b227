"""Who holds the other end of a connection, by this machine's own tables."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from outlastd.front_door.request import Request
from outlastd.session_host.auth.neighbours import Neighbours, Origin

pytestmark = pytest.mark.usefixtures("proc")

OURSELVES = (os.getpid(), os.geteuid())


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close what a test opens."""
    with ExitStack() as stack:
        yield stack


def connection(stack: ExitStack, listen_on: str, ask: str) -> tuple[socket.socket, socket.socket]:
    """Return both ends of a connection, the client's first."""
    family = socket.AF_INET6 if ":" in listen_on else socket.AF_INET
    listener = stack.enter_context(socket.socket(family))
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind((listen_on, 0))
    listener.listen()
    client = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in ask else socket.AF_INET))
    client.connect((ask, listener.getsockname()[1]))
    return client, stack.enter_context(listener.accept()[0])


def request(end: socket.socket, *, own_port: int | None = None) -> Request:
    """Return a request that came on our end of a connection."""

    async def read(limit: int) -> bytes:
        return b""

    peer, port = end.getpeername()[:2]
    own_port = end.getsockname()[1] if own_port is None else own_port
    return Request("GET", "/", "", CIMultiDictProxy(CIMultiDict()), peer, read, peer_port=port, own_port=own_port)


@pytest.mark.parametrize(
    ("listen_on", "ask"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::1", "::1"),
        ("::", "::1"),
        ("::", "127.0.0.1"),
        ("::", "::ffff:127.0.0.1"),
    ],
)
async def test_the_holder_is_found_in_either_table(sockets: ExitStack, listen_on: str, ask: str) -> None:
    """IPv4, IPv6, and the one within the other: we hold both ends here."""
    _, end = connection(sockets, listen_on, ask)

    assert await Neighbours(list).origin(request(end)) is Origin.NEIGHBOUR
    assert await Neighbours(lambda: [OURSELVES]).origin(request(end)) is Origin.GUEST


async def test_a_connection_that_nobody_holds_is_a_guests(sockets: ExitStack) -> None:
    """Whoever sends a request and closes its end at once cannot be looked up; nor can who has made none."""
    client, end = connection(sockets, "127.0.0.1", "127.0.0.1")
    asked, neighbours = request(end), Neighbours(list)
    assert await neighbours.origin(asked) is Origin.NEIGHBOUR

    client.close()

    assert await neighbours.origin(asked) is Origin.GUEST
    assert await neighbours.origin(request(end, own_port=1)) is Origin.GUEST
