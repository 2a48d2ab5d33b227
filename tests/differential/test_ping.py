"""``GET /ping``: the custom handler, the forced status and the default."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .exchange import get, post
from .pair import Pair
from .tables import names_in

PINGS = names_in("pings.py", "PINGS")


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve every ping handler."""
    return serve("pings.py")


def test_the_default(serve: Callable[..., Pair]) -> None:
    """An idle agent is Healthy, since a second that is a whole number and not to come."""
    pair = serve("bare.py")

    assert pair.same(get("/ping")).json["status"] == "Healthy"

    for peer in pair.peers:
        assert 0 <= time.time() - peer.see(get("/ping")).answer.json["time_of_last_update"] < 600


@pytest.mark.parametrize("name", PINGS)
def test_a_custom_ping(pair: Pair, name: str) -> None:
    """A custom handler that does this is answered and logged alike, when asked twice too."""
    pair.same(post({"ping": name}))

    pair.same(get("/ping"))
    pair.same(get("/ping"))
    pair.same(post({"current": True}))


def test_an_enum_of_its_own(pair: Pair) -> None:
    """A handler may give a member of an enum of its own that has the same values."""
    pair.same(post({"ping": "own enum"}))

    assert pair.same(get("/ping")).json["status"] == "HealthyBusy"


def test_the_forced_status(pair: Pair) -> None:
    """A forced status wins over the custom handler until it is cleared."""
    pair.same(post({"ping": "text busy"}))

    pair.same(post({"force": "Healthy"}))
    assert pair.same(get("/ping")).json["status"] == "Healthy"
    pair.same(post({"force": "HealthyBusy"}))
    assert pair.same(get("/ping")).json["status"] == "HealthyBusy"
    pair.same(post({"clear": True, "ping": "healthy"}))
    assert pair.same(get("/ping")).json["status"] == "Healthy"


def test_a_status_forced_by_its_text(pair: Pair) -> None:
    """A difference: a status may be forced by its text; in the original every ping then fails and says Healthy."""
    pair.see(post({"force text": "HealthyBusy"}))
    original, ours = pair.see(get("/ping"))
    pair.see(post({"clear": True}))

    assert original.lines[0]["message"] == "Ping endpoint failed"
    assert original.answer.json["status"] == "Healthy"
    assert ours.answer.json["status"] == "HealthyBusy"
    assert not ours.lines


@pytest.mark.parametrize("name", names_in("pings.py", "FAILING"))
def test_a_custom_ping_that_gives_no_status(pair: Pair, name: str) -> None:
    """A difference: what is no status is a failed handler, and /ping falls back to what is true."""
    pair.see(post({"ping": name}))
    original, ours = pair.see(get("/ping"))

    assert original.lines[0]["message"] == "Ping endpoint failed"
    assert ours.lines[0]["message"].startswith("Custom ping handler failed, falling back to automatic: ValueError: ")


def test_an_async_custom_ping(pair: Pair) -> None:
    """A difference: an async handler works; the original answers Healthy and logs an error."""
    pair.see(post({"ping": "async"}))
    original, ours = pair.see(get("/ping"))

    assert original.lines[0]["message"] == "Ping endpoint failed"
    assert ours.answer.json["status"] == "HealthyBusy"
    assert not ours.lines
