"""The threads for blocking handlers."""

from __future__ import annotations

import threading

import pytest

from outlast.tasks.call_pool import CallPool, CallPoolFull


def test_calls_beyond_threads_and_queue_are_refused() -> None:
    """As many calls as there are threads and places are taken, one more is refused; later there is room again."""
    pool = CallPool(threads=2, waiting=1)
    release, done = threading.Event(), threading.Semaphore(0)

    def call() -> None:
        release.wait(10)
        done.release()

    for _ in range(3):
        pool.post(call)
    with pytest.raises(CallPoolFull):
        pool.post(call)
    pool.post(call, admitted=True)
    release.set()

    assert all(done.acquire(timeout=10) for _ in range(4))
    pool.close()


def test_threads_are_named_reused_and_never_more_than_allowed() -> None:
    """Calls one after another use one thread; at once, no more than the bound, with names that count."""
    pool = CallPool(threads=2, waiting=100)
    names: list[str] = []
    for _ in range(5):
        ended = threading.Event()

        def call(ended: threading.Event = ended) -> None:
            names.append(threading.current_thread().name)
            ended.set()

        pool.post(call)
        assert ended.wait(10)

    assert set(names) <= {"outlast-call-1", "outlast-call-2"}
    pool.close()


def test_threads_are_daemons_and_end_with_the_pool() -> None:
    """A thread does not hold up the exit, and ends when the pool is closed."""
    pool = CallPool()
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def call() -> None:
        threads.append(threading.current_thread())
        ended.set()

    pool.post(call)
    assert ended.wait(10)
    pool.close()
    threads[0].join(10)

    assert threads[0].daemon
    assert not threads[0].is_alive()
