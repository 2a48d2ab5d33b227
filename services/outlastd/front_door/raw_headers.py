"""Headers as ASGI applications write them, pairs of bytes, as the headers of our responses."""

from __future__ import annotations

from collections.abc import Iterable

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


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if any(end in text for end in "\r\n\0"):
        raise ValueError(f"a header has a line break in it: {text!r}")
    return text
