"""Lines that a program writes through ``app.logger``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import SESSION_ID, post
from .pair import Pair
from .tables import names_in


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve a program that logs."""
    return serve("logs.py")


@pytest.mark.parametrize("where", ["here", "thread"])
@pytest.mark.parametrize("log", names_in("logs.py", "LOGS"))
def test_a_line(pair: Pair, log: str, where: str) -> None:
    """A line that is written this way is the same, with the ids of the request that it was written for."""
    pair.same(post({"log": log, "where": where}, [(SESSION_ID, "s" * 33)]))
