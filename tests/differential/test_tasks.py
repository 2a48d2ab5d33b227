"""Tasks tracked by hand and by the decorator: what callers, ``/ping`` and the log are told of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import get, post
from .pair import Pair


@pytest.fixture(scope="module")
def pair(serve_both_ways: Callable[[str], Pair]) -> Pair:
    """Serve tasks."""
    return serve_both_ways("tracked.py")


def test_by_hand(pair: Pair) -> None:
    """A task is counted and makes the agent busy between its beginning and its end."""
    pair.same(post({"do": "info"}))
    pair.same(post({"do": "add", "name": "one"}))
    pair.same(get("/ping"))
    pair.same(post({"do": "add", "name": "two ü", "metadata": {"file": "data.csv"}}))
    pair.same(post({"do": "info"}))
    pair.same(post({"do": "complete"}))
    pair.same(get("/ping"))
    pair.same(post({"do": "complete"}))
    pair.same(get("/ping"))
    pair.same(post({"do": "info"}))
    assert len(pair.same_endings()) >= 2


def test_an_unknown_id(pair: Pair) -> None:
    """Ending a task that is none is a warning and False."""
    pair.same(post({"do": "complete unknown"}))


def test_a_decorated_function(pair: Pair) -> None:
    """A decorated function has its name, returns what it returns, and is logged."""
    pair.same(post({"do": "name"}))
    pair.same(post({"do": "call", "value": 21}))
    assert pair.same_endings()


def test_in_the_background(pair: Pair) -> None:
    """A decorated function that goes on after the answer makes the agent busy until it has returned."""
    pair.same(post({"do": "start"}))
    pair.same(get("/ping"))
    pair.same(post({"do": "info"}))
    pair.same(post({"do": "let go"}))
    pair.same(get("/ping"))
    assert pair.same_endings()
