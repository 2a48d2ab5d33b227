"""Messages in ``application/vnd.amazon.eventstream``, the framing of AWS's streaming answers.

A message is: its length, the length of its headers, the CRC of both; headers; payload; the CRC of all before. Numbers
are unsigned, big-endian, of four bytes. A header is the length of its name (one byte), the name, the type of the value
(7 for text), the length of that (two bytes), and the value.
"""

from __future__ import annotations

import json
import struct
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_TEXT = 7


def event(name: str, value: object) -> bytes:
    """Return an event whose payload is ``value`` as JSON."""
    return _message({":message-type": "event", ":event-type": name}, value)


def exception(name: str, message: str) -> bytes:
    """Return the error that a stream ends with; clients raise it."""
    return _message({":message-type": "exception", ":exception-type": name}, {"message": message})


def _message(headers: dict[str, str], value: object) -> bytes:
    payload = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    block = b"".join(_header(*header) for header in {**headers, ":content-type": "application/json"}.items())
    prelude = struct.pack("!II", len(block) + len(payload) + 16, len(block))
    message = b"".join((prelude, _crc(prelude), block, payload))
    return message + _crc(message)


def _header(name: str, value: str) -> bytes:
    return b"".join((bytes([len(name)]), name.encode(), struct.pack("!BH", _TEXT, len(value)), value.encode()))


def _crc(data: bytes) -> bytes:
    return struct.pack("!I", crc32(data))
