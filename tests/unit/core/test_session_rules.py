"""When a run of a session has to end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.session import EndReason
from outlast.core.session_rules import (
    Activity,
    SessionRules,
    answered,
    began,
    busy,
    due,
    idle_since,
    next_look,
    touched,
    unanswered,
    use_began,
    use_ended,
)

RULES = SessionRules(idle_timeout=900, max_lifetime=28_800, unhealthy_after=30)
#: What the Unix time is ahead of the clock that only goes forward.
AHEAD = 1_763_800_000
#: Ready 10 seconds after its start.
READY = began(100, 110)
times = st.integers(min_value=0, max_value=40_000)


def heard(activity: Activity, now: float, *, says_busy: bool = False, reported: int | None = None) -> Activity:
    """Return what is known after a ping, whose ``reported`` is on the forward clock, too."""
    return answered(activity, says_busy, None if reported is None else reported + AHEAD, now, now + AHEAD)


def end_of(activity: Activity, now: float = 0) -> EndReason | None:
    """Return why the run has to end, if it has to."""
    verdict = due(activity, RULES, now)
    return None if verdict is None else verdict[0]


def test_ready_process_idles_from_then_on() -> None:
    """A process that nobody uses ends exactly the idle timeout after it was ready."""
    assert idle_since(READY) == 110
    assert end_of(READY, 1_009.9) is None
    assert due(READY, RULES, 1_010) == (EndReason.IDLE_TIMEOUT, "it was idle for 900 s")
    assert next_look(READY, RULES) == 1_010


def test_use_in_flight_keeps_a_session() -> None:
    """While one of two uses is in flight there is no idle time; it begins when the last one ends."""
    activity = use_began(use_began(READY))
    assert busy(use_ended(activity, 5_000))
    assert end_of(use_ended(activity, 5_000), 20_000) is None

    activity = use_ended(use_ended(activity, 5_000), 6_000)
    assert idle_since(activity) == 6_000
    assert next_look(activity, RULES) == 6_900


def test_sign_of_life() -> None:
    """A sign of life begins the idle clock anew."""
    assert idle_since(touched(READY, 700)) == 700


def test_change_that_was_seen() -> None:
    """Without a word on when its status changed, a guest idles since the ping that first said Healthy again."""
    activity = heard(heard(READY, 200, says_busy=True), 5_000, says_busy=True)
    assert busy(activity)
    assert end_of(activity, 20_000) is None
    assert idle_since(heard(activity, 5_002)) == 5_002


def test_change_that_is_reported() -> None:
    """A guest's word on when its status changed is taken."""
    activity = heard(heard(READY, 200, says_busy=True), 5_000, says_busy=True)
    assert idle_since(heard(activity, 5_010, reported=5_003)) == 5_003


def test_change_between_two_pings() -> None:
    """A guest that was busy only between two pings idles since the change that it reports."""
    activity = heard(heard(READY, 200, reported=110), 202, reported=201)
    assert idle_since(activity) == 201


def test_guest_that_stamps_every_answer() -> None:
    """A guest that reports the time of each ping is never idle, and ends with its lifetime (contract section 1.2)."""
    activity = READY
    for now in range(112, 28_900, 2):
        activity = heard(activity, now, reported=now)
        assert end_of(activity, now) is None
    assert end_of(activity, 28_900) is EndReason.MAX_LIFETIME


def test_stamp_that_never_moves() -> None:
    """A guest that reports its start for ever idles from when it was last seen busy."""
    activity = heard(heard(READY, 200, says_busy=True, reported=100), 5_000, says_busy=True, reported=100)
    assert idle_since(heard(activity, 5_002, reported=100)) == 5_000


@pytest.mark.parametrize("reported", [AHEAD + 5_003, AHEAD * 1_000, 10**400, -1])
def test_times_that_cannot_be(reported: int) -> None:
    """A time that is yet to come, milliseconds among them, or before 1970, is not taken: what was seen counts."""
    activity = heard(READY, 5_000, says_busy=True)
    assert idle_since(answered(activity, False, reported, 5_002, AHEAD + 5_002)) == 5_002


def test_wall_clock_that_jumps() -> None:
    """A report that was heard before the wall clock jumps stays where it was."""
    activity = heard(READY, 500, reported=400)
    for jump in (-86_400, 86_400):
        later = answered(activity, False, AHEAD + 400, 502, AHEAD + 502 + jump)
        assert idle_since(later) == 400


def test_failing_pings() -> None:
    """Pings may fail for a while, counted from the first that failed; one that is answered ends the count."""
    activity = unanswered(unanswered(READY, "HTTP 500", 200), "no answer within 5 s", 207)
    assert next_look(activity, RULES) == 230
    assert end_of(activity, 229.9) is None
    assert due(activity, RULES, 230) == (EndReason.UNHEALTHY, "/ping has failed for 30 s: no answer within 5 s")
    assert end_of(heard(activity, 229), 231) is None


def test_use_does_not_make_a_guest_healthy() -> None:
    """A guest whose pings fail ends also while it is used, and while it was busy when it was last heard."""
    activity = unanswered(heard(use_began(READY), 200, says_busy=True), "HTTP 500", 202)
    assert end_of(activity, 232) is EndReason.UNHEALTHY


@given(times, st.booleans(), st.integers(0, 3), times)
def test_lifetime_wins(now: int, says_busy: bool, in_flight: int, at: int) -> None:
    """Whatever is known, a run ends when it has lived for as long as it may."""
    activity = heard(touched(READY, at), max(at, 110), says_busy=says_busy)
    for _ in range(in_flight):
        activity = use_began(activity)
    assert (end_of(unanswered(activity, "?", at), now) is EndReason.MAX_LIFETIME) == (now >= 28_900)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 600), st.none() | st.integers(0, 30_000))))
def test_busy_never_idles(pings: list[tuple[bool, int, int | None]]) -> None:
    """A session that says HealthyBusy never ends as idle; once it says Healthy, it ends the idle timeout after that."""
    activity, now, seen_busy = READY, 110, 110
    for says_busy, pause, reported in pings:
        now += pause
        activity = heard(activity, now, says_busy=says_busy, reported=reported)
        seen_busy = now if says_busy else seen_busy
        if says_busy:
            assert idle_since(activity) is None
            assert end_of(activity, now + 10_000) in (None, EndReason.MAX_LIFETIME)
        else:
            since = idle_since(activity)
            assert since is not None
            assert seen_busy <= since <= now
            assert end_of(activity, min(since + 900, 28_900) - 0.5) is None
            assert end_of(activity, since + 900) in (EndReason.IDLE_TIMEOUT, EndReason.MAX_LIFETIME)


@given(times, times, st.integers(0, 1), st.booleans(), st.none() | times)
def test_next_look_is_exact(used: int, pinged: int, in_flight: int, says_busy: bool, failing: int | None) -> None:
    """A run is not due before the next look, and due at it."""
    activity = heard(touched(READY, used), pinged, says_busy=says_busy)
    if in_flight:
        activity = use_began(activity)
    if failing is not None:
        activity = unanswered(activity, "?", failing)
    look = next_look(activity, RULES)
    assert due(activity, RULES, look) is not None
    assert due(activity, RULES, look - 0.001) is None
