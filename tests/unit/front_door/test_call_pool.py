"""The threads for blocking handlers."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType

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


def test_calls_one_by_one_meet_the_same_thread() -> None:
    """Of idle threads the one that was at work last gets the next call."""
    pool = CallPool(threads=8, waiting=0)
    all_run = threading.Barrier(9)
    for _ in range(8):
        pool.post(lambda: all_run.wait(10))
    all_run.wait(10)

    used: set[int] = set()
    deadline = time.monotonic() + 30
    for turn in range(41):
        while len(pool._resting) < 8:  # the one that was at work is not back yet
            assert time.monotonic() < deadline
            time.sleep(0.001)
        if turn < 40:
            pool.post(lambda: used.add(threading.get_ident()), admitted=True)

    assert len(used) == 1  # by turns it would be all of them
    pool.close()


def test_whoever_posts_waits_for_no_thread_but_the_first() -> None:
    """Calls at once run at once, each on a thread, and each thread was started by the one before."""
    pool = CallPool(threads=40, waiting=0)
    starters: list[str] = []
    all_run = threading.Barrier(41)

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code is threading.Thread.start.__code__:
            starters.append(threading.current_thread().name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        for _ in range(40):
            pool.post(lambda: all_run.wait(10))
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    all_run.wait(10)

    assert starters.count(threading.current_thread().name) == 1
    pool.close()


def test_a_system_without_more_threads_has_to_do_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that cannot be started costs no call and leaves the pool as it was; without a first one, post raises."""
    start = threading.Thread.start
    started: list[str] = []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    pool, done = CallPool(threads=4, waiting=10), threading.Semaphore(0)
    for _ in range(5):
        pool.post(done.release)
    assert all(done.acquire(timeout=10) for _ in range(5))
    pool.close()

    with pytest.raises(RuntimeError):
        CallPool().post(done.release)


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
