"""What is measured of a worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from outlast.core.operation import Finish
from outlast.core.state import TaskState
from outlast.tasks.call_pool import CallPool
from outlast.tasks.loops import LoopThread
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.worker_metrics import observe_worker

from ...metered import metered
from .conftest import PATIENCE
from .test_watchdog import Blocker, Watched, turn

USED, LIMIT, WAITING = (f"outlast.worker.slots.{name}" for name in ("used", "limit", "waiting"))
PENDING, STALLS = "outlast.worker.pending_operations", "outlast.loop.stall.duration"


@pytest.fixture
def pool() -> Iterator[CallPool]:
    """A pool of one thread, which is closed afterwards."""
    pool = CallPool(threads=1)
    yield pool
    pool.close()


def test_worker(pool: CallPool) -> None:
    """Places are shown by kind, taken, waited for and in all, with what is not confirmed, until the end."""
    runtime = TaskRuntime(max_task_threads=5)
    entered, gate = threading.Event(), threading.Event()

    def call() -> None:
        entered.set()
        gate.wait(PATIENCE)

    with metered() as figures:
        end = observe_worker(runtime, pool, max_tasks=7)
        runtime.ledger.attach(lambda: None)
        task = runtime.track("research")
        assert runtime.threads.reserve("research")
        pool.post(call)
        assert entered.wait(PATIENCE)
        pool.post(lambda: None)

        kinds = [(("kind", kind),) for kind in ("task", "task_thread", "call_thread")]
        assert figures.values(USED) == dict(zip(kinds, (1, 1, 1), strict=True))
        assert figures.values(LIMIT) == dict(zip(kinds, (7, 5, 1), strict=True))
        assert figures.values(WAITING) == dict(zip(kinds[1:], (0, 1), strict=True))
        assert figures.values(PENDING) == {(): 1}

        runtime.ledger.finish(task, Finish(TaskState.COMPLETED))
        runtime.ledger.answer(1)
        gate.set()
        assert figures.values(PENDING) == {(): 1}
        runtime.ledger.answer(2)
        assert figures.values(PENDING) == {(): 0}
        assert figures.values(USED)[kinds[0]] == 0

        end()
        assert not figures.values(USED)


def test_no_bound(pool: CallPool) -> None:
    """A worker that runs any number of tasks shows no limit for them."""
    with metered() as figures:
        end = observe_worker(TaskRuntime(), pool, max_tasks=0)
        assert (("kind", "task"),) not in figures.values(LIMIT)
        end()


def test_metrics_off(pool: CallPool) -> None:
    """With metrics off there is nothing to end."""
    observe_worker(TaskRuntime(), pool, max_tasks=0)()


def test_stalls() -> None:
    """A loop that was blocked is counted with the time that it took, and so is a process that stood still."""
    loop, blocker = LoopThread("test-loop"), Blocker()
    with metered() as figures:
        turn(loop)
        watched = Watched(loop)
        turn(loop)
        watched.pass_time(0.25, running=True)
        blocker.block(loop)
        watched.pass_time(9)
        assert not figures.values(STALLS)
        blocker.end(loop)
        watched.pass_time(0.25, running=True)
        watched.stand_still(3.0)
        watched.watchdog.close()

        assert figures.values(STALLS) == {(("loop", "test-loop"),): 1, (("loop", "process"),): 1}
        sums = figures.sums(STALLS)
        assert sums[("loop", "test-loop"),] >= 8
        assert sums[("loop", "process"),] == pytest.approx(3.0)
    loop.close(PATIENCE)
