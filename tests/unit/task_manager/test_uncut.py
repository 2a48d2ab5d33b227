"""Work that is finished once it is begun."""

from __future__ import annotations

import asyncio

import pytest

from outlastd.task_manager.uncut import uncut


async def test_a_cancel_takes_effect_when_the_work_is_done() -> None:
    """However often it comes: the work goes on to its end, and only then is the caller cancelled."""
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.set()

    caller = asyncio.create_task(uncut(work()))
    await begun.wait()
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


async def test_a_failure_after_a_cancel_is_no_unseen_exception() -> None:
    """Nobody is left to be told of it; the cancel is what the caller sees."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        raise LookupError("late")

    caller = asyncio.create_task(uncut(work()))
    await begun.wait()
    caller.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_results_and_errors_come_through() -> None:
    """Without a cancel it is as if the work was awaited."""

    async def work(answer: int) -> int:
        if answer < 0:
            raise LookupError(answer)
        return answer

    assert await uncut(work(42)) == 42
    with pytest.raises(LookupError):
        await uncut(work(-1))
