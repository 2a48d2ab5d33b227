"""Plain functions over the bound of threads: they wait in line, and say so."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from outlast.core.errors import BacklogFull
from outlast.core.operation import Finish, Operation, Start, Submit
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.tasks import submitted
from outlast.tasks.async_task import AsyncTask, AsyncTaskDecorator
from outlast.tasks.failed import TaskFailed
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.task_threads import TaskThreads

SUBMITTED, WORKING, CANCELED = TaskState.SUBMITTED, TaskState.WORKING, TaskState.CANCELED
PATIENCE = 20.0


class Line:
    """One thread for tasks, a function that holds it until it is let go, and what it was called with."""

    def __init__(self) -> None:
        self.runtime = TaskRuntime(max_task_threads=1)
        self.runtime.threads.max_waiting = 3
        self.runtime.ledger.attach(lambda: None)
        self.async_task = AsyncTaskDecorator(self.runtime)
        self.began: list[int] = []
        self._let_go = threading.Semaphore(0)
        self._began = threading.Semaphore(0)
        self.work: AsyncTask[[int], int, int] = self.async_task(self._work, name="work")

    def _work(self, number: int) -> int:
        self.began.append(number)
        self._began.release()
        assert self._let_go.acquire(timeout=PATIENCE)
        return number

    def wait_for_next(self) -> None:
        """Wait until one more task has begun."""
        assert self._began.acquire(timeout=PATIENCE)

    def let_go(self, times: int = 1) -> None:
        """Let as many tasks end."""
        self._let_go.release(times)

    def operations(self) -> list[Operation]:
        """Return everything that the ledger has for the task manager."""
        self.runtime.ledger.rewind()
        return self.runtime.ledger.take(1000, 1 << 20)


@pytest.fixture
def line() -> Iterator[Line]:
    """A line of its own; nothing of it is left at the end."""
    line = Line()
    yield line
    line.let_go(100)
    until(lambda: not line.runtime.ledger.busy)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it changes."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("it never came")


def test_a_task_over_the_bound_is_submitted_and_runs_in_turn(line: Line) -> None:
    """The first come begins first, each once a thread is free; meanwhile it is SUBMITTED, and the process busy."""
    handles = [line.work.start(number) for number in range(3)]
    line.wait_for_next()

    assert [handle.state for handle in handles] == [WORKING, SUBMITTED, SUBMITTED]
    assert handles[1].model_dump()["state"] == "SUBMITTED"
    assert len(line.runtime.ledger.live()) == 3
    assert (line.runtime.threads.running, line.runtime.threads.waiting) == (1, 2)
    for handle in handles:
        assert not handle.done()
        line.let_go()
        assert handle.result(PATIENCE) == handles.index(handle)
    assert line.began == [0, 1, 2]
    until(lambda: line.runtime.threads.running == 0)


def test_the_record_says_when_it_waits_and_when_it_begins(line: Line) -> None:
    """WORKER_BUSY first; the start comes with the thread, and only then."""
    line.work.start(0)
    waiting = line.work.start(1)
    line.wait_for_next()

    def actions() -> list[Any]:
        return [operation.action for operation in line.operations() if operation.task_id == waiting.task_id]

    (submitted_as,) = actions()
    assert isinstance(submitted_as, Submit)
    assert (submitted_as.state_reason, submitted_as.start.task_type) == (StateReason.WORKER_BUSY, "work")
    line.let_go()
    line.wait_for_next()
    assert [type(action) for action in actions()] == [Submit, Start]
    assert waiting.state is WORKING


def test_the_line_is_bounded(line: Line) -> None:
    """Over the bound nothing is started; whoever leaves the line makes room in it."""
    handles = [line.work.start(number) for number in range(4)]

    with pytest.raises(BacklogFull, match=r"1 plain functions run as tasks.* and 3 wait for one: work was not started"):
        line.work.start(4)

    assert len(line.runtime.ledger.live()) == 4
    assert handles[2].cancel()
    assert line.work.start(5).state is SUBMITTED


def test_a_task_that_is_canceled_while_it_waits_never_runs(line: Line) -> None:
    """It is CANCELED at once, and the next in line takes its turn."""
    handles = [line.work.start(number) for number in range(3)]
    line.wait_for_next()

    assert handles[1].cancel()

    assert handles[1].state is CANCELED
    with pytest.raises(concurrent.futures.CancelledError):
        handles[1].result(PATIENCE)
    assert not handles[1].cancel()
    line.let_go(2)
    assert handles[2].result(PATIENCE) == 2
    assert line.began == [0, 2]
    finish = next(o.action for o in line.operations() if o.task_id == handles[1].task_id and type(o.action) is Finish)
    assert (finish.state, finish.state_reason) == (CANCELED, StateReason.CANCEL_REQUESTED)


@pytest.mark.parametrize("by", ["finish", "drop"])
def test_a_task_that_is_given_back_never_begins(line: Line, by: str) -> None:
    """What a shutdown releases, or the task manager has ended, leaves the line without having run."""
    handles = [line.work.start(number) for number in range(3)]
    line.wait_for_next()
    end = getattr(line.runtime.ledger, by)

    end(handles[1].task_id, Finish(TaskState.FAILED, StateReason.WORKER_SHUTDOWN))

    assert line.runtime.threads.waiting == 1
    with pytest.raises(TaskFailed):
        handles[1].result(PATIENCE)
    line.let_go(2)
    assert handles[2].result(PATIENCE) == 2
    assert line.began == [0, 2]


def test_an_attempt_that_was_given_waits_for_a_thread_and_is_never_refused(line: Line) -> None:
    """The task manager has recorded it as begun: it is WORKING while it waits, however long the line is."""
    for number in range(4):
        line.work.start(number)
    line.wait_for_next()
    given = Task(7, "work", "agent", WORKING, attempt=2, max_attempts=3, input=b'{"args": [7]}')

    submitted.run_submitted(line.runtime, line.async_task.functions, given)

    tracked = line.runtime.ledger.get(7)
    assert tracked is not None
    assert (tracked.state, tracked.attempt) == (WORKING, 2)
    assert line.runtime.threads.waiting == 4
    line.let_go(5)
    until(lambda: tracked.state is TaskState.COMPLETED)
    assert line.began == [0, 1, 2, 3, 7]


def test_an_attempt_that_was_given_is_canceled_while_it_waits(line: Line) -> None:
    """Its code never runs."""
    line.work.start(0)
    line.wait_for_next()
    submitted.run_submitted(
        line.runtime, line.async_task.functions, Task(7, "work", "agent", WORKING, attempt=1, input=b'{"args": [7]}')
    )
    tracked = line.runtime.ledger.get(7)
    assert tracked is not None

    tracked.cancel()

    assert tracked.finish is not None
    assert (tracked.finish.state, tracked.finish.state_reason) == (CANCELED, StateReason.CANCEL_REQUESTED)
    line.let_go()
    until(lambda: line.runtime.threads.running == 0)
    assert line.began == [0]


def test_many_tasks_from_many_threads_on_few(line: Line) -> None:
    """Whatever the order in which threads come free, each task runs once and never more than may."""
    line.runtime.threads.limit, line.runtime.threads.max_waiting = 3, 1000
    lock = threading.Lock()
    now, most = 0, 0

    @line.async_task
    def count(number: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return number

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(count.start, range(500)))

    assert [handle.result(PATIENCE) for handle in handles] == list(range(500))
    assert most <= 3
    until(lambda: line.runtime.threads.running == 0)
    assert line.runtime.threads.waiting == 0


class _NoMoreThreads(TaskThreads):
    """A system that gives no more threads."""

    def _start(self, work: Callable[[], None]) -> None:
        if self.exhausted:
            raise RuntimeError("can't start new thread")
        super()._start(work)

    exhausted = False


def test_a_thread_that_cannot_be_replaced_goes_on(line: Line) -> None:
    """Where the system gives no more threads, those who wait run on the one that comes free."""
    threads = _NoMoreThreads(1)
    line.runtime.threads = threads
    handles = [line.work.start(number) for number in range(3)]
    line.wait_for_next()

    threads.exhausted = True
    line.let_go(3)

    assert [handle.result(PATIENCE) for handle in handles] == [0, 1, 2]
    until(lambda: threads.running == 0)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        line.work.start(3)
    assert threads.running == 0


def test_a_line_without_a_thread_to_come_fails(line: Line) -> None:
    """When the last thread is given back and none can be had, who waits is told instead of waiting for ever."""
    threads = _NoMoreThreads(1)
    line.runtime.threads = threads
    assert threads.reserve("other")
    handle = line.work.start(0)
    assert handle.state is SUBMITTED

    threads.exhausted = True
    threads.release()

    with pytest.raises(RuntimeError, match="can't start new thread"):
        handle.result(PATIENCE)
    assert handle.state is TaskState.FAILED
    assert (threads.running, threads.waiting, line.began) == (0, 0, [])
