"""The threads behind ``asyncio.to_thread`` and ``run_in_executor(None, …)`` on a loop of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from outlast.tasks.call_pool import CallPool

T = TypeVar("T")

#: As many as asyncio's own executor has.
_THREADS = min(32, (os.cpu_count() or 1) + 4)


class LoopExecutor(ThreadPoolExecutor):
    """An executor on daemon threads: a call that hangs does not hang the end of the process.

    Python joins the threads of any other executor when it ends, so that a task which was cut off inside of
    ``to_thread`` would hold a process that was told to stop for as long as its call takes (promise 6). A
    ThreadPoolExecutor because asyncio takes no other for a loop's default; it never starts a thread of its own.
    """

    def __init__(self, name: str) -> None:
        """``name`` is that of the threads, with a number behind it."""
        super().__init__(max_workers=1)
        self._calls = CallPool(threads=_THREADS, name=name)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` called on a thread; any number may wait."""
        future: Future[T] = Future()
        self._calls.post(partial(_settle, future, partial(fn, *args, **kwargs)), admitted=True)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end once nothing is left to do; never waits."""
        self._calls.close()


def _settle(future: Future[T], call: Callable[[], T]) -> None:
    """Make the call, unless it was canceled before its turn, and give its outcome to the future."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
