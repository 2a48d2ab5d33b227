"""Responses of Starlette's that handlers return."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import get, post
from .pair import Pair
from .tables import names_in

RESPONSES = names_in("responses.py", "RESPONSES")


@pytest.fixture(scope="module")
def pair(serve_both_ways: Callable[[str], Pair]) -> Pair:
    """Serve every response."""
    return serve_both_ways("responses.py")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("response", RESPONSES)
def test_a_response(pair: Pair, response: str, kind: str) -> None:
    """This response arrives alike: status, headers and body."""
    pair.same(get("/ping"))
    pair.same(post({"kind": kind}))

    pair.same(post({"response": response}))


def test_a_background_task(pair: Pair) -> None:
    """The background tasks of the responses up to here have run."""
    pair.same(get("/ping"))
    pair.same(post({"kind": "sync"}))

    pair.same(post({"response": "done"}))
