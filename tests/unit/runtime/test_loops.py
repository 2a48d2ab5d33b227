"""Loops for user code, each on its own thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from outlast.tasks.loops import LoopThread


@pytest.fixture
def loop_thread() -> Iterator[LoopThread]:
    """A loop thread that is closed afterwards."""
    thread = LoopThread("test-loop")
    yield thread
    thread.close(5.0)


def test_the_thread_starts_on_first_use(loop_thread: LoopThread) -> None:
    """Making one costs no thread; using it gives a running loop on a thread with its name."""
    assert "test-loop" not in [thread.name for thread in threading.enumerate()]

    name = asyncio.run_coroutine_threadsafe(thread_name(), loop_thread.loop).result(5.0)

    assert name == "test-loop"


def test_posts_run_in_order_on_the_loop(loop_thread: LoopThread) -> None:
    """Callbacks from another thread run once each, in order, on the loop's thread."""
    seen: list[int] = []
    done: Future[bool] = Future()
    for number in range(1_000):
        loop_thread.post(seen.append, number)
    loop_thread.post(lambda: done.set_result(loop_thread.is_current()))

    assert done.result(5.0)
    assert list(range(1_000)) == seen
    assert not loop_thread.is_current()


def test_a_callback_that_raises_harms_no_other(loop_thread: LoopThread) -> None:
    """An exception in a posted callback goes to the loop's handler, and the next callback runs."""
    told: Future[object] = Future()
    loop_thread.loop.set_exception_handler(lambda _, context: told.set_result(context["exception"]))
    done: Future[None] = Future()

    loop_thread.post(lambda: 1 / 0)
    loop_thread.post(lambda: done.set_result(None))

    assert isinstance(told.result(5.0), ZeroDivisionError)
    done.result(5.0)


def test_close_lets_what_is_left_unwind(loop_thread: LoopThread) -> None:
    """A coroutine that runs when the loop is closed is canceled, and its finally runs."""
    started, unwound = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            unwound.set()

    asyncio.run_coroutine_threadsafe(work(), loop_thread.loop)
    assert started.wait(5.0)

    loop_thread.close(5.0)

    assert unwound.is_set()


def test_an_exit_ends_the_handler_and_not_the_loop(loop_thread: LoopThread) -> None:
    """``sys.exit()`` in a coroutine is its own end: what comes after it on the loop still runs."""

    async def leave() -> None:
        sys.exit(3)

    left = asyncio.run_coroutine_threadsafe(leave(), loop_thread.loop)
    with pytest.raises(SystemExit):
        left.result(5.0)

    assert asyncio.run_coroutine_threadsafe(thread_name(), loop_thread.loop).result(5.0) == "test-loop"


def test_a_closed_loop_takes_nothing(loop_thread: LoopThread) -> None:
    """After close nothing starts the thread again."""
    loop_thread.post(lambda: None)
    loop_thread.close(5.0)

    with pytest.raises(RuntimeError, match="closed"):
        loop_thread.post(lambda: None)
    assert "test-loop" not in [thread.name for thread in threading.enumerate()]


async def thread_name() -> str:
    """Return the name of the thread that runs this."""
    return threading.current_thread().name
