"""Waiting until operations are durable."""

from __future__ import annotations

import asyncio

import pytest

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
