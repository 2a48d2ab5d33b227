"""The rules of a task manager, from the settings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from outlast.core.policy import DEFAULT_POLICY
from outlast.settings.model import load_settings
from outlastd.launch.manager import listen_address, policy_of


def test_the_defaults_are_the_domains() -> None:
    """Who sets nothing gets what runs without any settings."""
    assert policy_of(load_settings()) == DEFAULT_POLICY


def test_nothing_of_a_time_means_for_ever() -> None:
    """A retention or a queue timeout of 0 never lapses; the rest is taken as it is."""
    policy = policy_of(load_settings(lease_ttl="3s", retention="0", queue_timeout=0, cancel_grace="1m", max_backlog=5))
    assert (policy.retention, policy.queue_timeout, policy.max_backlog) == (None, None, 5)
    assert (policy.lease_ttl, policy.cancel_grace) == (timedelta(seconds=3), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("given", "embedded", "address"),
    [
        ({}, True, "127.0.0.1:50051"),
        ({}, False, "127.0.0.1:50051"),
        ({"token": "t"}, True, "127.0.0.1:50051"),
        ({"container": True}, True, "127.0.0.1:50051"),
        ({"container": True, "token": "t"}, True, "0.0.0.0:50051"),
        ({"container": True, "insecure": True}, True, "0.0.0.0:50051"),
        ({"container": True}, False, "0.0.0.0:50051"),
        ({"container": True, "token": "t", "task_manager_listen": "127.0.0.1:1"}, True, "127.0.0.1:1"),
    ],
)
def test_where_it_listens_when_nobody_says(given: dict[str, Any], embedded: bool, address: str) -> None:
    """In the image everywhere, but for an agent's own that anybody could ask; elsewhere on this machine."""
    assert listen_address(load_settings(**given), embedded=embedded) == address
