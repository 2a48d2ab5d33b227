"""Waiting until operations are durable."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from outlast.tasks.acknowledgements import Acknowledgements


async def test_what_is_answered_already_waits_for_nothing() -> None:
    """A watermark at or below the answered sequence is reached at once."""
    acknowledgements = Acknowledgements()
    acknowledgements.advance(5)

    await acknowledgements.reached(5, timeout=0.0)


async def test_waiters_wake_by_watermark() -> None:
    """Each waiter wakes when its own watermark is answered, not before."""
    acknowledgements = Acknowledgements()
    low, high = (asyncio.create_task(acknowledgements.reached(mark, timeout=30.0)) for mark in (1, 3))
    await asyncio.sleep(0)

    acknowledgements.advance(2)
    await low
    assert not high.done()
    acknowledgements.advance(3)
    await high


async def test_a_watermark_out_of_reach_times_out() -> None:
    """A waiter gives up after its timeout, and the next answer does not trip over it."""
    acknowledgements = Acknowledgements()

    with pytest.raises(TimeoutError):
        await acknowledgements.reached(1, timeout=0.01)

    acknowledgements.advance(1)


async def test_each_wait_has_a_time_of_its_own() -> None:
    """A shorter wait ends before a longer one that began earlier, which goes on, and the next in its turn."""
    acknowledgements = Acknowledgements()
    long, middle, short = (asyncio.create_task(acknowledgements.reached(1, timeout)) for timeout in (30.0, 0.04, 0.02))

    assert (await asyncio.wait([long, middle, short], return_when=asyncio.FIRST_COMPLETED))[0] == {short}
    assert (await asyncio.wait([long, middle], return_when=asyncio.FIRST_COMPLETED))[0] == {middle}

    acknowledgements.advance(1)
    await long
    for given_up in (short, middle):
        with pytest.raises(TimeoutError):
            await given_up


def test_waits_of_no_time_at_all_end_on_uvloop_too() -> None:
    """There a timer of less than half a millisecond is none, and times are whole milliseconds."""

    async def wait() -> None:
        acknowledgements = Acknowledgements()
        for timeout in (0.0, 0.0001, 0.0004, 0.0016):
            waits = [acknowledgements.reached(1, timeout) for _ in range(3)]
            assert all(isinstance(each, TimeoutError) for each in await asyncio.gather(*waits, return_exceptions=True))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wait())
