"""What a host and its wardens say to each other, and how: JSON behind its length, on a stream socket.

Host to warden: first ``{"order": {...}}``, then ``{"execute": ARGV}`` and ``{"stop": GRACE}``. With an execute come
three descriptors: a socket for the command's own warden, which is given no order, and the command's stdout and stderr.
Warden to host: ``{"started": PID}`` or ``{"failed": {...}}``, then ``{"exited": {...}}``, then ``{"gone": true}``.
Only the standard library is loaded here: the spawner has to start at once, and its children to stay small.
"""

from __future__ import annotations

import json
from typing import Any

#: Bytes of one message. An order holds a whole environment; Linux itself takes no more than 2 MiB of it by default.
MAX_MESSAGE = 1024 * 1024
#: What is read of a socket at a time.
CHUNK = 65_536
#: Descriptors that come with one message at most.
MAX_DESCRIPTORS = 3

_LENGTH = 4

Message = dict[str, Any]


class BadMessage(Exception):
    """A message is too large, or none at all."""


def encode(message: Message) -> bytes:
    """Return a message as it is sent. Raises BadMessage when it is too large."""
    text = json.dumps(message).encode("ascii")  # what is no UTF-8 in a path goes through as a lone surrogate
    if len(text) > MAX_MESSAGE:
        raise BadMessage(f"a message of {len(text)} bytes is larger than {MAX_MESSAGE}")
    return len(text).to_bytes(_LENGTH, "big") + text


class Messages:
    """What has come on a socket, cut into messages."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that ``data`` completes. Raises BadMessage."""
        self._pending += data
        found = []
        while len(self._pending) >= _LENGTH:
            end = _LENGTH + int.from_bytes(self._pending[:_LENGTH], "big")
            if end > _LENGTH + MAX_MESSAGE:
                raise BadMessage(f"a message of {end - _LENGTH} bytes is larger than {MAX_MESSAGE}")
            if len(self._pending) < end:
                break
            found.append(_decode(bytes(self._pending[_LENGTH:end])))
            del self._pending[:end]
        return found


def _decode(text: bytes) -> Message:
    try:
        message = json.loads(text)
    except ValueError as error:
        raise BadMessage(f"a message is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise BadMessage("a message is no JSON object")
    return message
