"""The rules of a task manager, from the settings."""

from __future__ import annotations

from datetime import timedelta

from outlast.core.policy import DEFAULT_POLICY
from outlast.settings import load_settings
from outlastd.launch.manager import policy_of


def test_the_defaults_are_the_domains() -> None:
    """Who sets nothing gets what runs without any settings."""
    assert policy_of(load_settings()) == DEFAULT_POLICY


def test_nothing_of_a_time_means_for_ever() -> None:
    """A retention or a queue timeout of 0 never lapses; the rest is taken as it is."""
    policy = policy_of(load_settings(lease_ttl="3s", retention="0", queue_timeout=0, cancel_grace="1m", max_backlog=5))
    assert (policy.retention, policy.queue_timeout, policy.max_backlog) == (None, None, 5)
    assert (policy.lease_ttl, policy.cancel_grace) == (timedelta(seconds=3), timedelta(minutes=1))
