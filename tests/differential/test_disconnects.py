"""Clients that leave in the middle of a stream."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from .exchange import PATIENCE, REQUEST_ID, post
from .pair import Pair
from .peer import Peer


@pytest.mark.parametrize("kind", ["async", "silent"])
def test_a_client_that_leaves(serve_both_ways: Callable[[str], Pair], kind: str) -> None:
    """An async generator is closed, with the ids of its request, once its client has left."""
    for peer in serve_both_ways("endless.py").peers:
        leave(peer, kind)


def test_a_client_that_leaves_a_sync_generator(serve_both_ways: Callable[[str], Pair]) -> None:
    """A difference: a sync generator is closed too; the original leaves it where it stands."""
    leave(serve_both_ways("endless.py").ours, "sync")


def leave(peer: Peer, kind: str) -> None:
    """Ask for a stream, leave once its first item has come, and wait until its generator has said that it is closed."""
    asked = post({"kind": kind}, [(REQUEST_ID, f"left-{kind}")])
    with socket.create_connection(peer.address, timeout=PATIENCE) as connection:
        connection.sendall(asked.head() + asked.payload())
        received = b""
        while b"data: 0\n\n" not in received:
            piece = connection.recv(65_536)
            assert piece, received
            received += piece

    request_id = f"left-{kind}"
    peer.process.wait_line(lambda line: (line["message"], line.get("requestId")) == ("closed", request_id), "its end")
