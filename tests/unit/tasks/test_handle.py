"""``.start()`` from anywhere, and the handle that it gives."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

from outlast.core.errors import InvalidField, TaskManagerUnavailable
from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TaskError
from outlast.payload import to_json_text
from outlast.tasks.async_task import AsyncTaskDecorator
from outlast.tasks.current import current_task
from outlast.tasks.failed import TaskFailed
from outlast.tasks.future import TaskFuture
from outlast.tasks.handle import TaskHandle
from outlast.tasks.ledger import Ledger
from outlast.tasks.run import TaskRun
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.tracked import TrackedTask

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World

COMPLETED, FAILED, CANCELED = TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED


def here() -> str:
    """Name the thread."""
    return threading.current_thread().name


async def where() -> str:
    """Name the thread, after a turn of its loop."""
    await asyncio.sleep(0)
    return here()


def test_where_a_start_runs(world: World) -> None:
    """On the agent's loop from there, else on the tasks' loop; a ``def`` on a thread of its own."""
    coroutine, function = world.async_task(where), world.async_task(here)

    async def start() -> str:
        return await coroutine.start()

    assert world.on_agent_loop(start) == "outlast-agent"
    assert world.in_thread(lambda: asyncio.run(start())) == "outlast-tasks"
    assert world.in_thread(lambda: coroutine.start().result(10)) == "outlast-tasks"
    assert function.start().result(10).startswith("outlast-task-")
    assert world.settle() == [COMPLETED] * 4
    assert not world.runtime.ledger.busy


def test_a_start_is_in_the_ledger_when_it_returns(world: World) -> None:
    """/ping and the watermark cover a task from the moment that start() gave its handle."""

    @world.async_task
    async def work() -> None:
        await world.gate.passed()

    @world.async_task
    def plain() -> None:
        world.gate.wait()

    handles: list[TaskHandle[Any]] = [work.start(), plain.start()]

    assert [task.task_id for task in world.runtime.ledger.live()] == [handle.task_id for handle in handles]
    assert [handle.state for handle in handles] == [TaskState.WORKING] * 2
    assert not any(handle.done() for handle in handles)
    world.gate.open()
    assert [handle.result(10) for handle in handles] == [None, None]
    assert all(handle.done() for handle in handles)
    assert [handle.state for handle in handles] == [COMPLETED] * 2


def test_a_handle_serialises_as_the_first_keys_of_its_task(world: World) -> None:
    """A handler may return the handle, or have it somewhere in what it returns."""

    @world.async_task(name="research")
    async def work() -> None:
        await world.gate.passed()

    handle = work.start()

    expected = f'"name": "tasks/{handle.task_id}", "taskId": "{handle.task_id}", "taskType": "research"'
    assert to_json_text(handle) == "{" + expected + ', "state": "WORKING"}'
    assert to_json_text({"status": "started", "task": [handle]}).startswith('{"status": "started", "task": [{"name"')


def test_a_handle_says_when_nothing_is_recorded(world: World) -> None:
    """Without a running app the ledger alone knows of the task."""
    handle = world.async_task(where).start()
    handle.result(10)

    assert not handle.recorded
    assert repr(handle) == f"<TaskHandle {handle.name} where COMPLETED, not recorded: no task manager>"
    world.runtime.ledger.attach(lambda: None)
    assert handle.recorded
    assert repr(handle) == f"<TaskHandle {handle.name} where COMPLETED>"


@pytest.mark.parametrize("asynchronous", [True, False])
def test_exceptions_are_raised_to_whoever_asks(world: World, asynchronous: bool) -> None:
    """result() and await raise the very exception of the body, as often as they are asked."""
    error = LookupError("no such page")

    @world.async_task
    async def fail() -> None:
        raise error

    @world.async_task
    def fail_on_a_thread() -> None:
        raise error

    handle = fail.start() if asynchronous else fail_on_a_thread.start()

    async def ask() -> None:
        await handle

    for _ in range(2):
        with pytest.raises(LookupError) as raised:
            handle.result(10)
        assert raised.value is error
        with pytest.raises(LookupError) as raised:
            world.in_thread(lambda: asyncio.run(ask()))
        assert raised.value is error
    assert world.settle() == [FAILED]


def test_a_handle_is_awaited_on_several_loops(world: World) -> None:
    """Any number of coroutines on any loops wait for one task."""

    @world.async_task
    async def work() -> str:
        await world.gate.passed()
        return "done"

    handle = work.start()
    waiting = threading.Barrier(4)

    async def wait() -> str:
        asyncio.get_running_loop().call_soon(waiting.wait, 10)
        return await handle

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        results = [pool.submit(lambda: asyncio.run(wait())) for _ in range(3)]
        waiting.wait(10)
        world.gate.open()
        assert [result.result(10) for result in results] == ["done"] * 3


def test_canceling_a_waiter_leaves_the_task_alone(world: World) -> None:
    """A client that goes away, or a timeout, ends the wait for a background task, not the task."""

    @world.async_task
    async def work() -> str:
        await world.gate.passed()
        return "done"

    handle = work.start()

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle, 0.01)

    world.in_thread(lambda: asyncio.run(wait()))
    with pytest.raises(TimeoutError, match=handle.name):
        handle.result(0.01)

    assert handle.state is TaskState.WORKING
    world.gate.open()
    assert handle.result(10) == "done"


def test_result_does_not_block_a_running_loop(world: World) -> None:
    """On a loop's thread result() says to await instead of standing still; what is done is given at once."""

    @world.async_task
    async def work() -> str:
        await world.gate.passed()
        return "done"

    handle = work.start()

    async def ask() -> str:
        with pytest.raises(RuntimeError, match="await"):
            handle.result()
        world.gate.open()
        await handle
        return handle.result()

    assert world.in_thread(lambda: asyncio.run(ask())) == "done"


def test_a_handle_cancels(world: World) -> None:
    """cancel() reaches a coroutine as CancelledError; result() tells it apart from a cancel of the caller."""

    @world.async_task
    async def work() -> None:
        world.began.open()
        await world.gate.passed()

    handle = work.start()
    world.began.wait()

    assert handle.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        handle.result(10)
    assert not handle.cancel()
    assert world.settle() == [CANCELED]
    finish = world.ends[0][0].finish
    assert finish is not None
    assert finish.state_reason == StateReason.CANCEL_REQUESTED


def test_a_cancel_right_after_the_start_ends_the_task(world: World) -> None:
    """Whether or not the body took a step by then: the task is CANCELED and whoever waits is told."""

    @world.async_task
    async def work() -> None:
        await world.gate.passed()

    async def start_and_cancel() -> None:
        handle = work.start()
        handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle

    for _ in range(20):
        handle = work.start()
        handle.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            handle.result(10)
    world.on_agent_loop(start_and_cancel)
    assert world.settle() == [CANCELED] * 21


def test_a_plain_function_asks_whether_it_is_canceled(world: World) -> None:
    """A thread cannot be interrupted: the function sees the request through current_task()."""

    @world.async_task
    def work() -> None:
        world.began.open()
        world.gate.wait()
        assert current_task().cancelled
        current_task().raise_if_cancelled()

    handle = work.start()
    world.began.wait()
    handle.cancel()
    world.gate.open()

    with pytest.raises(concurrent.futures.CancelledError):
        handle.result(10)
    assert world.settle() == [CANCELED]


def test_a_result_over_the_limit_is_refused(world: World) -> None:
    """The task FAILED, naming size and limit; the handle raises that; a direct awaiter still gets the value."""
    world.runtime.max_result_bytes = 100

    @world.async_task
    async def work() -> str:
        return "x" * 99

    async def tool() -> list[str]:
        return [await work(), await asyncio.create_task(work())]

    with pytest.raises(InvalidField, match=r"result: is 101 bytes of JSON, over the limit of 100"):
        work.start().result(10)
    assert world.in_thread(lambda: asyncio.run(tool())) == ["x" * 99] * 2
    assert world.settle() == [FAILED] * 3
    for tracked, error in world.ends:
        assert isinstance(error, InvalidField)
        assert tracked.finish is not None
        assert tracked.finish.state_reason == StateReason.RESULT_REFUSED
        assert tracked.finish.error is not None
        assert "101" in tracked.finish.error.message
        assert "100" in tracked.finish.error.message


@pytest.mark.parametrize("function", [where, here])
def test_a_ledger_that_is_full_refuses_the_start(world: World, function: Any) -> None:
    """With the task manager out of reach nothing is started, called or left behind."""
    runtime = TaskRuntime(Ledger(max_unanswered=0))
    runtime.ledger.attach(lambda: None)
    work = AsyncTaskDecorator(runtime)(function)

    async def call() -> None:
        await work()

    with pytest.raises(TaskManagerUnavailable):
        work.start()
    with pytest.raises(TaskManagerUnavailable):
        world.in_thread(lambda: asyncio.run(call()))
    assert not runtime.ledger.busy
    assert runtime.threads.running == 0


def test_a_thousand_starts_from_32_threads(world: World) -> None:
    """Ids are unique, every task ends COMPLETED, every handle gives its own result."""

    @world.async_task
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        handles = list(pool.map(double.start, range(1000)))

    assert [handle.result(10) for handle in handles] == list(range(0, 2000, 2))
    assert len({handle.task_id for handle in handles}) == 1000
    assert world.settle() == [COMPLETED] * 1000


def test_the_first_end_wins(world: World) -> None:
    """A task that was ended by somebody else, a lost lease say, has that end, whatever its code returns later."""

    @world.async_task
    async def work() -> str:
        world.began.open()
        await world.gate.passed()
        return "done"

    handle = work.start()
    world.began.wait()
    error = TaskError(10, "its process is gone", StateReason.WORKER_LOST)
    world.runtime.ledger.finish(handle.task_id, Finish(FAILED, StateReason.WORKER_LOST, error=error))

    assert handle.done()
    for _ in range(2):
        with pytest.raises(TaskFailed, match=rf"{handle.name} failed: WORKER_LOST: its process is gone"):
            handle.result(10)
        world.gate.open()
        world.run_empty()
    assert handle.state is FAILED
    assert world.ends == []


def test_a_task_that_has_ended_is_let_go_of_at_once(world: World) -> None:
    """Nothing of it waits for the garbage collector, which would look at thousands of them again and again."""
    world.runtime.on_function_end = None
    counted: list[int] = []

    def alive() -> int:
        return sum(isinstance(each, TrackedTask | TaskRun | TaskFuture) for each in gc.get_objects())

    @world.async_task
    async def work() -> None:
        counted.append(alive())

    async def start() -> None:
        await work.start()

    gc.collect()
    gc.disable()
    try:
        before = alive()
        world.on_agent_loop(start)
        world.settle()
        world.on_agent_loop(where)
        assert [count - before for count in counted] == [3]
        assert alive() == before
    finally:
        gc.enable()
