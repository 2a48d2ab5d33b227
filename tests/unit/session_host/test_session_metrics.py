"""What is counted of sessions."""

from __future__ import annotations

import pytest

from outlast.core.session import SessionState
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.ports import Exit, LaunchFailed

from ...metered import Series, metered
from .fake_clock import settle
from .stage import OPERATOR, Stage, key, make_config

ACTIVE, STARTED, ENDED, STARTS = (
    f"outlast.session.{name}" for name in ("active", "started", "ended", "start.duration")
)
AGENT: Series = (("agent", "agent"),)


def ended(reason: str) -> Series:
    """Return the series of the runs that have ended for a reason."""
    return (("agent", "agent"), ("reason", reason))


async def test_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are counted as they begin, as they answer, and as they end, by reason; and those that are there."""
    with metered() as figures:
        stage = Stage(monkeypatch, make_config())
        for number in (1, 2, 3):
            await stage.sessions.use(key(number), OPERATOR)
        assert figures.values(ACTIVE) == {AGENT: 3}

        await stage.sessions.stop(key(1), OPERATOR)
        stage.launcher.started[1].die(Exit(code=1))
        await settle()
        assert figures.values(ACTIVE) == {AGENT: 1}
        await stage.sessions.close(0)

        assert figures.values(STARTED) == {AGENT: 3}
        assert figures.values(STARTS) == {AGENT: 3}
        assert figures.values(ACTIVE) == {AGENT: 0}
        assert figures.values(ENDED) == {
            ended("stop_requested"): 1,
            ended("process_ended"): 1,
            ended("host_stopped"): 1,
        }


async def test_failed_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that never answered has begun and ended, and has no start to measure."""
    with metered() as figures:
        stage = Stage(monkeypatch, make_config())
        stage.launcher.failure = LaunchFailed("no room")
        with pytest.raises(ApiError):
            await stage.sessions.use(key(), OPERATOR)
        await settle()

        assert figures.values(STARTED) == {AGENT: 1}
        assert figures.values(ENDED) == {ended("start_failed"): 1}
        assert figures.values(ACTIVE) == {AGENT: 0}
        assert not figures.values(STARTS)


async def test_end_that_the_store_takes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end is counted once, when it is on record, however often it was tried."""
    with metered() as figures:
        stage = Stage(monkeypatch, make_config())
        await stage.sessions.use(key(), OPERATOR)
        stage.unreachable()
        stage.launcher.started[0].die(Exit(code=1))
        await settle()
        assert not figures.values(ENDED)
        stage.reachable()
        await stage.clock.advance(10)

        assert figures.values(ENDED) == {ended("process_ended"): 1}


async def test_lost_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier host has left is counted as lost by the one that finds it."""
    with metered() as figures:
        stage = Stage(monkeypatch, make_config())
        stage.forge(1, state=SessionState.RUNNING)
        await stage.sessions.open()

        assert figures.values(ENDED) == {ended("host_lost"): 1}
        await stage.sessions.close(0)
