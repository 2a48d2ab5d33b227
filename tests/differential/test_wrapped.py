"""Programs with a lifespan and with middleware."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from .exchange import Asked, get, post, post_bytes
from .pair import Pair

REQUESTS = {
    "value": post({"a": 1}, [("X-Own", "own")]),
    "stream": post("stream", [("X-Own", "own")]),
    "failure": post("fail"),
    "invalid": post_bytes(b"{"),
    "refused": post({}, [("X-Refuse", "1")]),
    "ping": get("/ping"),
    "ping refused": get("/ping", [("X-Refuse", "1")]),
    "unknown": get("/nothing"),
    "method": Asked("DELETE", "/invocations"),
    "failing": post({}, [("X-Fail", "1")]),
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_middleware(serve_both_ways: Callable[[str], Pair], asked: Asked) -> None:
    """Middleware of both kinds sees every request, hands its state on, changes answers and gives its own."""
    serve_both_ways("wrapped.py").same(asked)


def test_the_end_of_the_lifespan(tmp_path: Path) -> None:
    """What stands behind the ``yield`` of a lifespan runs when the process is told to stop."""
    pair = Pair("wrapped.py", tmp_path)
    try:
        for peer in pair.peers:
            peer.process.signal(signal.SIGTERM)
            peer.process.wait()

            assert peer.process.output == ["ended"]
    finally:
        pair.close()
