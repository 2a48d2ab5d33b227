"""Exceptions, at once and in the middle of a stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import get, post
from .pair import Pair
from .tables import names_in

FAILURES = names_in("failures.py", "FAILURES")
UNSPEAKABLE = names_in("failures.py", "UNSPEAKABLE")
DEADLY = names_in("failures.py", "DEADLY")


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve every failure."""
    return serve("failures.py")


@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("failure", FAILURES)
def test_an_exception(pair: Pair, failure: str, kind: str, how: str) -> None:
    """This exception is told to the client and logged alike."""
    pair.same(get("/ping"))
    pair.same(post({"kind": kind}))

    pair.same(post({"failure": failure, "how": how}))


@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("failure", UNSPEAKABLE)
def test_an_exception_that_the_original_cannot_tell(pair: Pair, failure: str, kind: str, how: str) -> None:
    """A difference: where the original fails at its own answer, the client is told what went wrong, as JSON."""
    pair.same(get("/ping"))
    pair.same(post({"kind": kind}))

    original, ours = pair.see(post({"failure": failure, "how": how}))

    assert ours.answer.whole
    if how == "stream":
        assert b'"message": "An error occurred during streaming"' in ours.answer.body
    else:
        assert original.answer.status == 500
        assert original.answer.body == b"Internal Server Error"
        assert ours.answer.status == (400 if failure.startswith("http") else 500)
        assert list(ours.answer.json) == ["error"]


@pytest.mark.parametrize("how", ["call", "stream"])
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("failure", DEADLY)
def test_an_exception_that_the_original_does_not_catch(pair: Pair, failure: str, kind: str, how: str) -> None:
    """A difference: whatever a handler raises is an answer, and the service goes on; the original is not even asked."""
    pair.ours.see(get("/ping"))
    pair.ours.see(post({"kind": kind}))

    told = pair.ours.see(post({"failure": failure, "how": how}))

    assert told.answer.whole
    assert told.answer.status == (200 if how == "stream" else 500)
    assert b'"error":' in told.answer.body
    assert told.lines[-1]["level"] == "ERROR"
    assert pair.ours.see(get("/ping")).answer.status == 200


def test_stop_iteration(pair: Pair) -> None:
    """A difference: a StopIteration says what it says; the original's machinery turns it into another exception."""
    pair.same(get("/ping"))
    pair.same(post({"kind": "sync"}))

    original, ours = pair.see(post({"failure": "stop", "how": "call"}))

    assert original.answer.json == {"error": "coroutine raised StopIteration"}
    assert ours.answer.json == {"error": "early"}


def test_what_looks_like_an_http_exception(pair: Pair) -> None:
    """An exception that says status and detail, and is none of Starlette's, is an exception like any other."""
    pair.same(post({"failure": "looks like http", "how": "call"}))
