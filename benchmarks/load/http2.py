"""As much of a gRPC client as a watcher needs: many calls of one message each on a connection, answered by streams.

grpc.aio spends more on a message than the task manager does, and a thousand watchers on one machine would measure
themselves. In the world they are on machines of their own.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM = _ACK = 1
_END_HEADERS = 4
#: The largest window there is: the task manager never waits for this client to make room.
_WINDOW = (1 << 31) - 1
_FIRST_WINDOW = 65_535
_HEAD = struct.Struct(">I")
_PREFIX = struct.Struct(">BI")


class Connection:
    """One connection with its streams; blocks, but for a select before it reads."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._authority = address
        self._next_stream = 1
        self._left = b""
        #: What has come of a message that is not whole, by stream.
        self._parts: dict[int, bytes] = {}
        # No table of headers, no pushes, the largest window.
        settings = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, _WINDOW)
        self._socket.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, _HEAD.pack(_WINDOW - _FIRST_WINDOW))
        )

    def fileno(self) -> int:
        """Return what ``select`` waits for."""
        return self._socket.fileno()

    def call(self, path: str, message: bytes) -> int:
        """Call a method with one message; return the number of the stream that its answers come on."""
        stream = self._next_stream
        self._next_stream += 2
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": self._authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
        body = _PREFIX.pack(0, len(message)) + message
        self._socket.sendall(_frame(_HEADERS, _END_HEADERS, stream, block) + _frame(_DATA, _END_STREAM, stream, body))
        return stream

    def read(self) -> tuple[int, Iterator[tuple[int, bytes]]]:
        """Read what has arrived: when, by ``time.monotonic_ns()``, and each message with its stream.

        Raises:
            SystemExit: a stream has ended, or the connection.
        """
        data = self._socket.recv(1 << 20)
        at = time.monotonic_ns()
        if not data:
            raise SystemExit("the task manager has closed the connection")
        return at, self._messages(data)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _messages(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data = self._left + data if self._left else data
        place = 0
        while len(data) - place >= 9:
            size = int.from_bytes(data[place : place + 3])
            if len(data) - place < 9 + size:
                break
            kind, flags = data[place + 3], data[place + 4]
            stream = int.from_bytes(data[place + 5 : place + 9]) & _WINDOW
            payload = data[place + 9 : place + 9 + size]
            place += 9 + size
            if kind == _DATA:
                yield from self._whole(stream, payload)
            elif kind == _SETTINGS and not flags & _ACK:
                self._socket.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                self._socket.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind in (_RST_STREAM, _GOAWAY) or (kind == _HEADERS and flags & _END_STREAM):
                raise SystemExit(f"the task manager has ended stream {stream}: {payload!r}")
        self._left = data[place:]

    def _whole(self, stream: int, payload: bytes) -> Iterator[tuple[int, bytes]]:
        """Give the messages that are whole with this part of them."""
        data = self._parts.pop(stream, b"") + payload
        while len(data) >= 5:
            _, size = _PREFIX.unpack_from(data)
            if len(data) < 5 + size:
                break
            yield stream, data[5 : 5 + size]
            data = data[5 + size :]
        if data:
            self._parts[stream] = data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + _HEAD.pack(stream) + payload


def _text(text: str) -> bytes:
    """Return a text as HPACK writes it that is short, and not compressed."""
    data = text.encode("ascii")
    assert len(data) < 127
    return bytes((len(data),)) + data
