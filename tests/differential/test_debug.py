"""Payloads that ask for actions, with ``debug=True`` and without."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import get, post, post_bytes
from .pair import Pair

ACTIONS = [
    "ping_status", "force_busy", "ping_status", "force_healthy", "ping_status", "clear_forced_status", "job_status",
    "nonsense", "", None, 0, 7, 1.5, True, ["ping_status"], {"a": 1}, "ping_status ", "PING_STATUS", "ü\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve an app with ``debug=True``."""
    return serve("debugs.py")


@pytest.mark.parametrize("action", ACTIONS, ids=repr)
def test_an_action(pair: Pair, action: object) -> None:
    """This action is run, or refused, alike, and ``/ping`` shows what it did."""
    pair.same(post({"_agent_core_app_action": action}))
    pair.same(get("/ping"))


@pytest.mark.parametrize("payload", [{}, {"a": 1}, [], ["x"], "text", 7, None, {"fail": "on purpose"}], ids=repr)
def test_a_payload_without_action(pair: Pair, payload: object) -> None:
    """A payload that asks for none goes to the handler alike; one that is no object does what it did."""
    pair.same(post(payload))


def test_an_action_without_debug(serve: Callable[..., Pair]) -> None:
    """Without ``debug`` such a payload is like any other."""
    pair = serve("values.py")

    pair.same(post({"_agent_core_app_action": "ping_status", "how": "echo", "value": 1, "values": []}))


def test_no_entrypoint(serve: Callable[..., Pair]) -> None:
    """An app without an entrypoint says so, but first that a body is no JSON."""
    pair = serve("bare.py")

    pair.same(post({"a": 1}))
    pair.same(post_bytes(b"{"))
