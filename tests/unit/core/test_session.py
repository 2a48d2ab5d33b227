"""By which rules the record of a session changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outlast.core.errors import SessionHeld
from outlast.core.session import EndReason, Session, SessionKey, SessionState, begin, end, owned, ready, stopping

KEY = SessionKey("agent", "s" * 33)
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
NEW = begin(None, KEY, "host", 7, NOW, principal="key/ci", user="ann")
ENDED = end(ready(NEW, NOW), EndReason.IDLE_TIMEOUT, "idle", NOW)


def test_new_session() -> None:
    """A new id begins its first run, bound to whoever began it."""
    assert Session(KEY, SessionState.STARTING, "host", 7, 1, "key/ci", "ann", NOW, NOW) == NEW


def test_next_run() -> None:
    """The next run has nothing of the last one's but its number, and the session stays whose it is."""
    again = begin(ENDED, KEY, "other", 9, LATER, principal="key/cd", user="bob")

    assert again == replace(NEW, host="other", epoch=9, run=2, started_at=LATER)


@pytest.mark.parametrize("known", [NEW, ready(NEW, NOW), stopping(NEW)])
def test_held(known: Session) -> None:
    """No run begins before the last one has ended."""
    with pytest.raises(SessionHeld, match=r"sessions/agent/s+ is held by the host 'host'"):
        begin(known, KEY, "other", 9, LATER)


def test_states() -> None:
    """A run starts, is ready, is told to end, and ends; it may be told to end, and end, at any time."""
    running = ready(NEW, NOW)
    assert (running.state, running.ready_at) == (SessionState.RUNNING, NOW)
    for session in (NEW, running):
        assert stopping(session) == replace(session, state=SessionState.STOPPING)
    for session in (NEW, running, stopping(NEW)):
        assert end(session, EndReason.UNHEALTHY, "no ping", LATER) == replace(
            session,
            state=SessionState.STOPPED,
            ended_at=LATER,
            end_reason=EndReason.UNHEALTHY,
            end_message="no ping",
        )


def test_nothing_goes_back() -> None:
    """What comes too late leaves a session as it is."""
    assert ready(stopping(NEW), LATER) == stopping(NEW)
    assert ready(ready(NEW, NOW), LATER) == ready(NEW, NOW)
    assert ready(ENDED, LATER) == stopping(ENDED) == end(ENDED, EndReason.UNHEALTHY, "", LATER) == ENDED


def test_epoch() -> None:
    """Only its newest run speaks for a session."""
    assert owned(NEW, 7) is NEW
    with pytest.raises(SessionHeld):
        owned(NEW, 6)
