"""The benchmarks' own HTTP/2: what arrives in whatever pieces comes out as messages."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from benchmarks.load.http2 import Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(f"127.0.0.1:{listener.getsockname()[1]}")
        server, _ = listener.accept()
        with server:
            yield connection, server
            connection.close()


def frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    """Return a frame as a server sends it."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def message(text: bytes) -> bytes:
    """Return a gRPC message."""
    return b"\0" + len(text).to_bytes(4) + text


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_messages_come_whole_from_any_pieces(pair: tuple[Connection, socket.socket], size: int) -> None:
    """A message may be in several frames, a frame have several messages, and a read end anywhere."""
    connection, server = pair
    first = message(b"one") + message(b"two")
    sent = (
        frame(SETTINGS, 0, b"") + frame(DATA, 1, first[:10]) + frame(DATA, 3, message(b"")) + frame(DATA, 1, first[10:])
    )
    found: list[tuple[int, bytes]] = []

    for place in range(0, len(sent), size):
        server.sendall(sent[place : place + size])
        found += connection.read()[1]

    assert found == [(1, b"one"), (3, b""), (1, b"two")]


def test_a_call_is_a_stream_of_its_own(pair: tuple[Connection, socket.socket]) -> None:
    """Streams of a client have odd numbers, and each carries one message and its end."""
    connection, server = pair

    assert [connection.call("/a.B/C", b"x"), connection.call("/a.B/C", b"y")] == [1, 3]
    sent = b""
    while not sent.endswith(frame(DATA, 3, message(b"y"), flags=1)):
        sent += server.recv(4_096)
    assert sent.startswith(PREFACE)
    assert frame(DATA, 1, message(b"x"), flags=1) in sent


def test_a_ping_is_answered(pair: tuple[Connection, socket.socket]) -> None:
    """gRPC servers measure the way with pings, and give up a connection that does not answer."""
    connection, server = pair
    server.sendall(frame(PING, 0, b"12345678"))

    assert list(connection.read()[1]) == []

    sent = b""
    while not sent.endswith(frame(PING, 0, b"12345678", flags=1)):
        sent += server.recv(4_096)


def test_a_stream_that_ends_ends_the_load(pair: tuple[Connection, socket.socket]) -> None:
    """A watch that the task manager refuses or ends is no watch."""
    connection, server = pair
    server.sendall(frame(HEADERS, 1, b"trailers", flags=1))

    with pytest.raises(SystemExit, match="ended stream 1"):
        list(connection.read()[1])
