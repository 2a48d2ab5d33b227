"""Handlers of every kind: what they are given, where their answer goes and what is logged."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import SESSION_ID, get, post
from .pair import Pair
from .tables import names_in

#: The lambda is a difference: see test_differences.py.
KINDS = [kind for kind in names_in("kinds.py", "KINDS") if kind != "lambda_of_coroutine"]


@pytest.fixture(scope="module")
def pair(serve_both_ways: Callable[[str], Pair]) -> Pair:
    """Serve every kind."""
    return serve_both_ways("kinds.py")


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_of_any_kind(pair: Pair, kind: str) -> None:
    """A handler of this kind is called alike, with and without a session, and its exception told alike."""
    pair.same(get("/ping"))
    pair.same(post({"kind": kind}))

    pair.same(post({"prompt": "hi"}))
    pair.same(post({"prompt": "hi"}, [(SESSION_ID, "s" * 33)]))
    pair.same(post(["a", "list"]))
    pair.same(post({"fail": "on purpose"}, [(SESSION_ID, "s" * 33)]))
