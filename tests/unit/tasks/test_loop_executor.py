"""What runs behind asyncio.to_thread on a loop of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from outlast.tasks.loops import LoopThread


@pytest.fixture
def home() -> Iterator[LoopThread]:
    """Run a loop of ours."""
    thread = LoopThread("test-home")
    yield thread
    thread.close(1.0)


def test_threads_do_not_hold_the_process(home: LoopThread) -> None:
    """They are daemons, and values and exceptions come back as from asyncio's own."""

    async def both() -> tuple[bool, str]:
        daemon = await asyncio.to_thread(lambda: threading.current_thread().daemon)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return daemon, await asyncio.to_thread("a-{}".format, "b")

    assert asyncio.run_coroutine_threadsafe(both(), home.loop).result(10) == (True, "a-b")


def test_a_call_that_waits_can_be_canceled(home: LoopThread) -> None:
    """One that has no thread yet is never made when whoever waited for it is canceled."""
    gate, made = threading.Event(), list[int]()

    async def crowd() -> None:
        busy = [asyncio.create_task(asyncio.to_thread(gate.wait)) for _ in range(40)]
        late = asyncio.create_task(asyncio.to_thread(made.append, 1))
        await asyncio.sleep(0.05)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        gate.set()
        await asyncio.gather(*busy)

    asyncio.run_coroutine_threadsafe(crowd(), home.loop).result(10)
    assert made == []
