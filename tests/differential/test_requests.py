"""Requests of all kinds: methods, paths, bodies."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .exchange import Asked, post, post_bytes
from .pair import Pair
from .strategies import STEADY

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"]
PATHS = ["/invocations", "/ping", "/ws", "/", "/nothing", "/docs", "/openapi.json", "/favicon.ico"]
TARGETS = [
    "/invocations/", "/ping/", "//invocations", "//ping", "/invocations//", "/Invocations", "/PING", "/invocations/x",
    "/invocations?a=b", "/invocations?", "/ping?a=b&a=c", "/ping?%ff", "/%69nvocations", "/ping%20", "/ping%2f",
    "/./ping", "/x/../ping", "/ping;a=b", "/ping#a", "/%", "/%zz", "/ping%00", "/%c3%bc", "/invocations/?a=b",
    "/ws?a=b", "/ws/",
]  # fmt: skip

BODIES = {
    "empty": b"",
    "spaces": b"   ",
    "null": b"null",
    "true": b"true",
    "number": b" 12.50 ",
    "text": b'"text"',
    "list": b"[1, 2]",
    "no json": b"hello",
    "half": b'{"a": ',
    "trailing": b'{"a": 1} x',
    "trailing comma": b"[1,]",
    "two lines": b'{\n"a": oops}',
    "single quotes": b"{'a': 1}",
    "nan": b'{"a": NaN, "b": [Infinity, -Infinity]}',
    "twice": b'{"a": 1, "a": 2}',
    "control": b'"a\tb"',
    "escapes": b'"\\u0000\\ud83d\\ude00"',
    "bad escape": b'"\\x41"',
    "exponent": b"[1e400, -1E-400, 1e5]",
    "leading zero": b"012",
    "big": b"123456789012345678901234567890",
    "utf-8": '{"ü": "世界"}'.encode(),
    "bad utf-8": b'"\xff"',
    "cut utf-8": b'"\xc3',
    "utf-8 bom": b"\xef\xbb\xbf{}",
    "utf-16": '{"a": "ü"}'.encode("utf-16"),
    "utf-16 le": '{"a": "ü"}'.encode("utf-16-le"),
    "utf-16 be": '{"a": "ü"}'.encode("utf-16-be"),
    "utf-32": '{"a": "ü"}'.encode("utf-32"),
    "odd utf-16": '{"a": 1}'.encode("utf-16")[:-1],
    "zero": b"\x00",
    "zeros": b"\x00\x00\x00\x00",
    "nested": b"[" * 500 + b"]" * 500,
    "large": json.dumps(["x" * 1000] * 2000).encode(),
}


@pytest.fixture(scope="module")
def pair(serve_both_ways: Callable[[str], Pair]) -> Pair:
    """Serve what is sent."""
    return serve_both_ways("echo.py")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method(pair: Pair, method: str, path: str) -> None:
    """A method on a path is answered alike, the body being one that invocations take."""
    pair.same(Asked(method, path, body=b"{}" if method != "TRACE" else b""))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_target(pair: Pair, method: str, target: str) -> None:
    """A target, however it is written, is taken alike."""
    pair.same(Asked(method, target, body=b"{}" if method == "POST" else b""))


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body(pair: Pair, body: bytes, chunked: bool) -> None:
    """A body is read, or refused, alike."""
    pair.same(post_bytes(body, chunked=chunked))


@pytest.mark.parametrize("body", [b"1" * 5000, b"[" * 200_000], ids=["too many digits", "nested too deep"])
def test_a_body_that_python_cannot_read(pair: Pair, body: bytes) -> None:
    """A difference: JSON beyond what Python reads is the caller's fault, 400; the original fails at it."""
    original, ours = pair.see(post_bytes(body))

    assert original.answer.body == b"Internal Server Error"
    assert ours.answer.status == 400
    assert ours.answer.json["error"] == "Invalid JSON"
    assert ours.lines[0]["message"].startswith("Invalid JSON in request")


def test_a_target_in_absolute_form(serve: Callable[..., Pair]) -> None:
    """A difference: the absolute form, which every server has to accept (RFC 9112, section 3.2.2), is; not there."""
    original, ours = serve("echo.py").see(Asked("GET", "http://localhost/ping"))

    assert original.answer.status == 404
    assert ours.answer.status == 200


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json; charset=latin-1", "multipart/form-data", "nonsense"]
)
def test_a_content_type(pair: Pair, content_type: str | None) -> None:
    """What the request says of its body's type makes no difference."""
    headers = [("Content-Type", content_type)] if content_type is not None else []
    pair.same(Asked("POST", "/invocations", tuple(headers), '{"a": "ü"}'.encode()))


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "application/xml;q=0.1", "", "*/*"])
@pytest.mark.parametrize("payload", [{"how": "items", "items": [1, 2]}, {"a": 1}])
def test_an_accept(pair: Pair, accept: str, payload: object) -> None:
    """What the client would like to get makes no difference."""
    pair.same(post(payload, [("Accept", accept), ("Accept-Encoding", "gzip, br, deflate")]))


def test_expect_continue(pair: Pair) -> None:
    """A client that asks before it sends its body is answered alike."""
    pair.same(post({"a": 1}, [("Expect", "100-continue")]))


@given(body=st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
@settings(STEADY, max_examples=150)
def test_any_body(pair: Pair, body: bytes) -> None:
    """Whatever bytes come are refused, or read, alike."""
    pair.same(post_bytes(body))
