"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

#: Seconds of silence after which a comment is sent: below the 60 s in which common clients and proxies give up.
KEEPALIVE_SECONDS = 15.0
#: A comment, which every client skips.
KEEPALIVE = b": keepalive\n\n"


def sse_event(data: str, event_id: str = "") -> bytes:
    """Return one event. ``data`` is JSON text, in which a line break can only stand between tokens."""
    one_line = data.replace("\r", " ").replace("\n", " ").encode("utf-8", "backslashreplace")
    start = f"id: {event_id}\n".encode() if event_id else b""
    return b"%bdata: %b\n\n" % (start, one_line)


def sse_comment(text: str) -> bytes:
    """Return a comment, which every client skips."""
    return b": %b\n\n" % " ".join(text.split()).encode("utf-8", "backslashreplace")
