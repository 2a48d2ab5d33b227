"""Handles of tasks that are tried again: they follow the task to its end, wherever that comes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.tasks.failed import TaskFailed
from outlast.tasks.handle import TaskHandle
from outlast.tasks.submitted import run_submitted
from outlast.tasks.tracked import TrackedTask

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World

SUBMITTED, WORKING, COMPLETED = TaskState.SUBMITTED, TaskState.WORKING, TaskState.COMPLETED
FAILED, CANCELED = TaskState.FAILED, TaskState.CANCELED
LOST = TaskError(10, "its process is gone", StateReason.WORKER_LOST)


class Records:
    """A task manager, as handles ask it: the test says how a task ends."""

    def __init__(self) -> None:
        self.followed: dict[int, Future[Task]] = {}
        self.canceled: list[int] = []

    def follow(self, task_id: int) -> Future[Task]:
        """Return the record, to come; a second call would be one too many."""
        assert task_id not in self.followed
        self.followed[task_id] = Future()
        return self.followed[task_id]

    def cancel(self, task_id: int) -> None:
        """Note it."""
        self.canceled.append(task_id)


@pytest.fixture
def records(world: World) -> Records:
    """The runtime records its tasks with it."""
    records = Records()
    world.runtime.elsewhere = records
    world.runtime.ledger.attach(lambda: None)
    return records


def end(handle: TaskHandle[Any], state: TaskState, **fields: Any) -> Task:
    """Return the record of a task that has ended."""
    return replace(Task(handle.task_id, handle.task_type, "agent", state, max_attempts=3), **fields)


@pytest.fixture
def failing(world: World) -> Callable[[], tuple[TaskHandle[Any], TrackedTask]]:
    """Start a task that has three attempts and of which the first one has failed, here."""

    @world.async_task(max_attempts=3)
    async def work(number: int = 1) -> int:
        raise LookupError("no such page")

    def start() -> tuple[TaskHandle[Any], TrackedTask]:
        handle = work.start()
        world.settle()
        return handle, world.ends[-1][0]

    return start


Failing = Callable[[], tuple[TaskHandle[Any], TrackedTask]]


def test_a_failed_attempt_is_not_the_end(records: Records, failing: Failing) -> None:
    """The handle goes on to the next attempt, and gives what that one has returned."""
    handle, tracked = failing()

    assert tracked.state is FAILED
    assert not handle.done()
    assert (handle.state, handle.attempt) == (SUBMITTED, 1)
    with pytest.raises(TimeoutError):
        handle.result(0.01)
    records.followed[handle.task_id].set_result(end(handle, COMPLETED, attempt=2, result=b'{"pages": 3}'))

    assert handle.done()
    assert (handle.state, handle.attempt) == (COMPLETED, 2)
    assert handle.result() == {"pages": 3}
    assert handle.model_dump()["state"] == "COMPLETED"


@pytest.mark.parametrize("how", ["await", "result"])
def test_who_waits_since_before_the_failure_waits_on(world: World, records: Records, how: str) -> None:
    """On a thread or on a loop: the first attempt's end wakes nobody."""

    @world.async_task(max_attempts=2)
    async def work() -> str:
        await world.gate.passed()
        raise LookupError("no such page")

    handle = work.start()
    waiting = threading.Event()

    async def ask() -> str:
        asyncio.get_running_loop().call_soon(waiting.set)
        return await handle

    def block() -> str:
        waiting.set()
        return handle.result(20)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        told = pool.submit(block if how == "result" else lambda: asyncio.run(ask()))
        assert waiting.wait(20)
        world.gate.open()
        world.settle()
        world.in_thread(handle.done)
        records.followed[handle.task_id].set_result(end(handle, COMPLETED, attempt=2, result=b'"done"'))
        assert told.result(20) == "done"


def test_a_task_that_nobody_waits_for_is_not_followed(records: Records, failing: Failing) -> None:
    """Fire and forget costs the task manager nothing; the first question is soon enough."""
    handle, _ = failing()

    assert records.followed == {}
    assert handle.task_type == "work"
    assert records.followed == {}
    assert handle.state is SUBMITTED
    assert list(records.followed) == [handle.task_id]
    assert not handle.done()


def test_the_exception_of_a_last_attempt_here_is_the_very_one(records: Records, failing: Failing) -> None:
    """When the task manager has no other attempt for it, a cancel say, the code's own exception is raised."""
    handle, _ = failing()
    assert not handle.done()

    records.followed[handle.task_id].set_result(end(handle, FAILED, attempt=1, error=LOST))

    with pytest.raises(LookupError, match="no such page"):
        handle.result()


def test_a_failure_elsewhere_is_told_in_words(records: Records, failing: Failing) -> None:
    """The exception of another process cannot be had: its name and message can."""
    handle, _ = failing()
    assert not handle.done()
    error = TaskError(2, "no such book", "KeyError")

    records.followed[handle.task_id].set_result(end(handle, FAILED, attempt=3, error=error))

    for _ in range(2):
        with pytest.raises(TaskFailed) as failed:
            handle.result()
        assert (failed.value.name, failed.value.type, failed.value.message) == (handle.name, "KeyError", "no such book")
        assert str(failed.value) == f"{handle.name} failed: KeyError: no such book"
    assert (handle.state, handle.attempt) == (FAILED, 3)


def test_a_cancel_between_attempts_reaches_the_task_manager(records: Records, failing: Failing) -> None:
    """There is no code to reach: the task manager cancels it, and the handle is told."""
    handle, _ = failing()

    assert handle.cancel()
    assert records.canceled == [handle.task_id]
    assert not handle.done()
    records.followed[handle.task_id].set_result(end(handle, CANCELED, attempt=1))

    with pytest.raises(concurrent.futures.CancelledError):
        handle.result()
    assert not handle.cancel()


def test_a_cancel_of_an_attempt_here_is_told_to_the_task_manager_too(world: World, records: Records) -> None:
    """Code that fails when it is canceled would run again otherwise; a task with one attempt needs none of that."""

    async def work() -> None:
        world.began.open()
        try:
            await world.gate.passed()
        except asyncio.CancelledError:
            raise LookupError("no such page") from None

    handle = world.async_task(work, max_attempts=2).start()
    world.began.wait()
    assert handle.cancel()
    assert world.settle() == [FAILED]
    assert not handle.done()
    assert records.canceled == [handle.task_id]
    records.followed[handle.task_id].set_result(end(handle, FAILED, attempt=1))
    with pytest.raises(LookupError):
        handle.result()

    single = world.async_task(world.gate.passed, name="single").start()
    assert single.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        single.result(20)
    assert records.canceled == [handle.task_id]


def test_an_attempt_that_is_lost_with_its_lease_is_followed(world: World, records: Records) -> None:
    """Whatever the code here does from then on is nobody's."""

    @world.async_task(max_attempts=2)
    async def work() -> str:
        world.began.open()
        await world.gate.passed()
        return "here"

    handle = work.start()
    world.began.wait()
    world.runtime.ledger.drop(handle.task_id, Finish(FAILED, StateReason.WORKER_LOST, error=LOST))
    world.gate.open()
    assert not handle.done()
    records.followed[handle.task_id].set_result(end(handle, COMPLETED, attempt=2, result=b'"there"'))

    assert handle.result() == "there"


@pytest.mark.parametrize(
    ("finish", "final"),
    [
        (Finish(FAILED, StateReason.DEADLINE, error=LOST), False),
        (Finish(FAILED, StateReason.WORKER_SHUTDOWN, error=LOST), False),
        (Finish(FAILED, StateReason.STORE_REFUSED, error=LOST), True),
        (Finish(CANCELED, StateReason.CANCEL_FORCED, error=LOST), True),
        (Finish(COMPLETED, result=b"1"), True),
    ],
)
def test_the_lifecycle_says_what_is_tried_again(world: World, records: Records, finish: Finish, final: bool) -> None:
    """One rule for the task manager and for whoever waits: ends that no other attempt would mend are the last."""
    handle = world.async_task(world.gate.passed, max_attempts=2).start()

    world.runtime.ledger.finish(handle.task_id, finish)

    assert handle.done() == final


def test_a_last_attempt_is_the_last(world: World, records: Records) -> None:
    """With one attempt there is nothing to follow, and the exception is the code's own."""

    async def work() -> None:
        raise LookupError("no such page")

    handle = world.async_task(work).start()

    with pytest.raises(LookupError):
        handle.result(20)
    assert records.followed == {}


@pytest.mark.parametrize("missing", ["elsewhere", "manager"])
def test_without_a_task_manager_the_first_outcome_is_the_outcome(
    world: World, records: Records, failing: Failing, missing: str
) -> None:
    """Nobody would try it again."""
    if missing == "elsewhere":
        world.runtime.elsewhere = None
    else:
        world.runtime.ledger.detach()

    handle, _ = failing()

    assert handle.done()
    with pytest.raises(LookupError):
        handle.result()


def test_the_next_attempt_may_run_in_this_process(world: World, records: Records) -> None:
    """Then the handle knows its state and number, and a cancel reaches its code without a detour."""

    @world.async_task(max_attempts=3)
    async def work(number: int) -> int:
        if world.began is first:
            raise LookupError("no such page")
        world.began.open()
        await world.gate.passed()
        return number

    first = world.began
    handle = work.start(5)
    world.settle()
    world.began = type(first)()
    given = end(handle, WORKING, attempt=2, epoch=1, input=b'{"args": [5]}')
    run_submitted(world.runtime, world.async_task.functions, given)
    world.began.wait()

    assert (handle.state, handle.attempt) == (WORKING, 2)
    assert not handle.done()
    assert handle.cancel()
    assert world.settle() == [FAILED, CANCELED]
    assert records.canceled == [handle.task_id]


def test_a_record_that_cannot_be_had_is_said(records: Records, failing: Failing) -> None:
    """The record may be gone; and a process that ends says what it knows: how the attempt here went."""
    gone, _ = failing()
    ending, _ = failing()
    assert not gone.done()
    assert not ending.done()

    records.followed[gone.task_id].set_exception(KeyError(gone.name))
    records.followed[ending.task_id].cancel()

    with pytest.raises(KeyError):
        gone.result()
    with pytest.raises(LookupError, match="no such page"):
        ending.result()
    assert (gone.state, ending.state) == (FAILED, FAILED)
