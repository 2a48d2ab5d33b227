"""The worker's view of its lease, to the millisecond: signs of life, silence, the end of it, and waking up."""

from __future__ import annotations

import time

import pytest

from outlast.tasks.lease import WorkerLease

from ..clock import Clock


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> WorkerLease:
    """A lease of 15 s from a hello that was said now, with its first sign of life given."""
    lease = WorkerLease(clock)
    lease.connected(15.0, clock.now)
    lease.look()
    lease.beat()
    lease.look()
    return lease


def pass_time(lease: WorkerLease, clock: Clock, until: float, *, answered: bool = False) -> None:
    """Do as the stream does until a time (seconds after the start): look when asked to, and beat when that is due."""
    while (seconds := lease.look()) is not None and clock.now + seconds <= 1_000.0 + until:
        clock.now += seconds
        lease.look()
        if lease.beat_due:
            number = lease.beat()
            if answered:
                lease.renewed(number, 15.0)
    clock.now = 1_000.0 + until


def test_a_sign_of_life_is_due_three_times_in_a_lease(lease: WorkerLease, clock: Clock) -> None:
    """At once after the welcome, and a third of the lease after the one before."""
    clock.now += 4.999
    assert not lease.beat_due

    clock.now += 0.001
    assert lease.beat_due
    lease.beat()
    assert not lease.beat_due


def test_a_lease_holds_from_when_the_sign_was_given(lease: WorkerLease, clock: Clock) -> None:
    """An answer that took its time makes it no longer: the task manager cannot have counted from any earlier."""
    clock.now += 5
    number = lease.beat()
    clock.now += 3
    lease.renewed(number, 15.0)
    lease.disconnected()

    pass_time(lease, clock, 19.999)
    assert not lease.lost()
    pass_time(lease, clock, 20.0)
    assert lease.lost()


def test_an_answered_lease_goes_on(lease: WorkerLease, clock: Clock) -> None:
    """For as long as each sign of life is answered."""
    pass_time(lease, clock, 3_600, answered=True)

    assert not lease.silent
    assert not lease.lost()


def test_silence_is_known_before_the_lease_is_lost(lease: WorkerLease, clock: Clock) -> None:
    """Two thirds of the lease without an answer: there is time to try another replica."""
    pass_time(lease, clock, 9.999)
    assert not lease.silent

    pass_time(lease, clock, 10.0)
    assert lease.silent
    assert not lease.lost()


def test_a_lease_is_lost_once(lease: WorkerLease, clock: Clock) -> None:
    """What follows from it is done once, until there is another lease."""
    pass_time(lease, clock, 15.0)
    assert lease.lost()
    assert not lease.lost()

    lease.connected(15.0, clock.now)
    pass_time(lease, clock, 30.0)
    assert lease.lost()


def test_a_broken_stream_asks_for_no_sign_of_life(lease: WorkerLease, clock: Clock) -> None:
    """There is nobody to give it to; the time of the lease goes on."""
    lease.disconnected()
    pass_time(lease, clock, 12.0)

    assert not lease.beat_due
    assert not lease.silent
    assert not lease.lost()


@pytest.mark.parametrize("connected", [True, False])
def test_a_process_that_wakes_up_listens_first(lease: WorkerLease, clock: Clock, connected: bool) -> None:
    """Stopped for an hour, it gives a sign of life at once, and gives up only when that has no answer either."""
    if not connected:
        lease.disconnected()
    clock.now += 3_600

    lease.look()
    assert not lease.lost()
    assert not lease.silent
    assert lease.beat_due is connected
    lease.beat()

    pass_time(lease, clock, 3_604.999)
    assert not lease.lost()
    pass_time(lease, clock, 3_605.0)
    assert lease.lost()


def test_a_process_that_wakes_up_and_is_answered_has_lost_nothing(lease: WorkerLease, clock: Clock) -> None:
    """Nobody has taken its lease: the task manager was away or slow too."""
    clock.now += 3_600
    lease.look()

    lease.renewed(lease.beat(), 15.0)

    pass_time(lease, clock, 3_614.0)
    assert not lease.lost()


def test_a_lease_that_never_runs_out_asks_for_nothing(clock: Clock) -> None:
    """Where the task manager names no time there are no signs of life, and none is missed."""
    lease = WorkerLease(clock)
    lease.connected(None, clock.now)

    clock.now += 1_000_000

    assert lease.look() is None
    assert not lease.beat_due
    assert not lease.silent
    assert not lease.lost()


def test_the_answer_to_an_older_stream_means_nothing(lease: WorkerLease, clock: Clock) -> None:
    """A number that is not waited for renews nothing."""
    number = lease.beat()
    lease.disconnected()
    lease.connected(15.0, clock.now)
    clock.now += 10

    lease.renewed(number, 15.0)

    assert lease.silent


def test_the_clock_never_goes_back() -> None:
    """By default the system's clock is used that counts the time asleep too."""
    lease = WorkerLease()

    first = lease.now()

    assert lease.now() >= first
    assert lease.now() >= time.monotonic() - 1
