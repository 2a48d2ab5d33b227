"""Headers as ASGI has them, pairs of bytes, and as ours: the one from the other, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict


def read_raw_headers(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, CIMultiDict[str]]:
    """Return the content type, None for none, and all other headers, in order and as often as they come.

    How the body is framed on the wire (``Transfer-Encoding``) is the adapter's to say, and left out.

    Raises:
        ValueError: a name or a value would end its line.
    """
    headers = CIMultiDict((_text(name), _text(value)) for name, value in pairs)
    headers.popall("Transfer-Encoding", None)
    content_type = headers.get("Content-Type")
    headers.popall("Content-Type", None)
    return content_type, headers


def raw_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return pairs with lower-case names, in order and as often as they come."""
    return [(_raw(name.lower()), _raw(value)) for name, value in headers.items()]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if any(end in text for end in "\r\n\0"):
        raise ValueError(f"a header has a line break in it: {text!r}")
    return text
