"""The estimate of a database's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from outlastd.stores.postgres_clock import ServerClock

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
SAID = int(AT.timestamp() * 1_000_000)


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that has passed here, to be set."""
    passed = [100.0]
    monkeypatch.setattr("outlastd.stores.postgres_clock.time.monotonic", lambda: passed[0])
    return passed


def test_time_goes_on(monotonic: list[float]) -> None:
    """The time is what the database said in the middle of the question, and what has passed here since."""
    clock = ServerClock()
    asked, monotonic[0] = monotonic[0], monotonic[0] + 0.2

    assert clock.sample(SAID, asked) == AT
    assert clock.now() == AT + timedelta(seconds=0.1)
    monotonic[0] += 5
    assert clock.now() == AT + timedelta(seconds=5.1)


def test_slow_answer(monotonic: list[float]) -> None:
    """An answer that took longer than the one before tells the time worse, until that one is old."""
    clock = ServerClock()
    clock.sample(SAID, monotonic[0])
    slow = SAID + 3_000_000

    monotonic[0] += 1
    clock.sample(slow, monotonic[0] - 0.5)
    assert clock.now() == AT + timedelta(seconds=1)

    monotonic[0] += 20
    clock.sample(slow + 20_000_000, monotonic[0] - 0.5)
    assert clock.now() == AT + timedelta(seconds=23.25)


def test_small_steps_back(monotonic: list[float]) -> None:
    """A better answer does not take the time back; a clock that was set back does."""
    clock = ServerClock()
    clock.sample(SAID, monotonic[0])
    assert clock.now() == AT

    clock.sample(SAID - 300_000, monotonic[0])
    assert clock.now() == AT

    clock.sample(SAID - 60_000_000, monotonic[0])
    assert clock.now() == AT - timedelta(seconds=60)


def test_injected() -> None:
    """A clock of the tests' own decides everything."""
    clock = ServerClock(lambda: AT)
    clock.sample(SAID + 5_000_000, 0.0)

    assert clock.now() == AT
    assert clock.injected == SAID
    assert ServerClock().injected is None
