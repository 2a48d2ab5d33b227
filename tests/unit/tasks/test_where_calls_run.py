"""Which loop an async task runs on, and what ends it: for every way to run a short-lived loop."""

# ruff: noqa: RUF006  (dropping the task is what these programs do)

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from outlast.core.state import StateReason, TaskState
from outlast.tasks.call import TaskCall

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World

    Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
    Work = Callable[[], TaskCall[str]]

COMPLETED, FAILED, CANCELED = TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED


def here() -> str:
    """Name the thread."""
    return threading.current_thread().name


@pytest.fixture
def work(world: World) -> Work:
    """A task that says that it began, waits for the gate and returns the name of its thread."""

    @world.async_task
    async def work() -> str:
        world.began.open()
        await world.gate.passed()
        return here()

    return work


def test_a_task_outlives_the_loop_that_created_it(world: World, work: Work, run: Run) -> None:
    """Teardown of the caller's loop lets the task live on, on the tasks' loop."""
    created = []

    async def tool() -> None:
        created.append(asyncio.create_task(work()))
        await world.began.passed()

    run(tool)

    assert created[0].cancelled()
    assert [task.state for task in world.runtime.ledger.live()] == [TaskState.WORKING]
    world.gate.open()
    assert world.settle() == [COMPLETED]


def test_a_task_created_in_a_tools_last_line_runs(world: World, work: Work, run: Run) -> None:
    """The seed document's program: create the task and return; the original kills it."""

    async def tool() -> str:
        asyncio.create_task(work())
        return "started"

    assert run(tool) == "started"

    assert world.the_task().task_type == "work"
    world.gate.open()
    assert world.settle() == [COMPLETED]


def test_a_task_whose_loop_ends_before_its_first_step_runs(world: World, work: Work, run_of_a_library: Run) -> None:
    """A task that asyncio cancels before it took a step, because the loop ends, is started nevertheless."""
    created: list[asyncio.Task[Any]] = []

    async def in_the_last_turn() -> None:
        created.append(asyncio.create_task(work()))

    async def tool() -> None:
        created.append(asyncio.create_task(in_the_last_turn()))

    run_of_a_library(tool)

    assert [task.cancelled() for task in created].count(True) == 1
    world.began.wait()
    world.gate.open()
    assert world.settle() == [COMPLETED]


def test_the_gap_of_a_loop_torn_down_by_hand(world: World, work: Work, run_by_hand: Run) -> None:
    """Known and documented: on a hand-made loop, a task created in the very last turn does not run."""

    async def in_the_last_turn() -> None:
        asyncio.create_task(work())

    async def tool() -> None:
        asyncio.create_task(in_the_last_turn())

    run_by_hand(tool)

    assert world.settle() == []


def test_results_of_gathered_tasks_come_back_in_order(world: World, run: Run) -> None:
    """Two tasks gathered in a tool run on the tasks' loop, at the same time, and give their values to the caller."""
    both = threading.Barrier(2)

    @world.async_task
    async def double(number: int) -> tuple[int, str]:
        await asyncio.to_thread(both.wait, 10)
        return number * 2, here()

    async def tool() -> list[tuple[int, str]]:
        return list(await asyncio.gather(double(1), double(2)))

    assert run(tool) == [(2, "outlast-tasks"), (4, "outlast-tasks")]
    assert world.settle() == [COMPLETED, COMPLETED]


def test_a_task_group_waits_for_tasks_and_cancels_them(world: World, work: Work, run: Run) -> None:
    """When one member of a group fails, a task in it is canceled, and has ended when the group has."""

    async def fail() -> None:
        await world.began.passed()
        raise LookupError("sibling")

    async def tool() -> list[TaskState]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                group.create_task(fail())
        except* LookupError:
            pass
        return [tracked.state for tracked, _ in world.ends]

    assert run(tool) == [CANCELED]


def test_a_timeout_cancels_the_task(world: World, work: Work, run: Run) -> None:
    """asyncio.wait_for gives up on a task as it gives up on any coroutine."""

    async def tool() -> str:
        try:
            return await asyncio.wait_for(asyncio.ensure_future(work()), 0.01)
        except TimeoutError:
            return "too late"

    assert run(tool) == "too late"
    assert world.settle() == [CANCELED]
    assert world.ends[0][0].finish is not None
    assert world.ends[0][0].finish.state_reason == StateReason.CANCEL_REQUESTED


def test_a_timeout_around_a_bare_call_cancels_the_task(world: World, work: Work, run: Run) -> None:
    """Also where wait_for awaits the call itself, as it does from Python 3.12 on."""

    async def tool() -> str:
        try:
            return await asyncio.wait_for(work(), 0.01)
        except TimeoutError:
            return "too late"

    assert run(tool) == "too late"
    assert world.settle() == [CANCELED]


def test_a_shielded_task_survives_its_awaiter(world: World, work: Work, run: Run) -> None:
    """asyncio.shield keeps a cancel away from the task, and the end of the loop does not reach it either."""

    async def wait() -> str:
        return await asyncio.shield(work())

    async def tool() -> None:
        waiting = asyncio.create_task(wait())
        await world.began.passed()
        waiting.cancel()
        await asyncio.wait([waiting])

    run(tool)

    assert world.the_task().state is TaskState.WORKING
    world.gate.open()
    assert world.settle() == [COMPLETED]


def test_an_explicit_cancel_reaches_the_body(world: World, run: Run) -> None:
    """Task.cancel() on the caller's asyncio task cancels the body, which has cleaned up when the awaiter goes on."""
    said: list[str] = []

    @world.async_task
    async def work() -> None:
        world.began.open()
        try:
            await world.gate.passed()
        finally:
            await asyncio.sleep(0)
            said.append(f"cleaned up on {here()}")

    async def tool() -> list[str]:
        task = asyncio.create_task(work())
        await world.began.passed()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return list(said)

    assert run(tool) == ["cleaned up on outlast-tasks"]
    assert world.settle() == [CANCELED]


def test_an_explicit_cancel_before_the_first_step_starts_nothing(world: World, work: Work, run: Run) -> None:
    """As in asyncio: a task that is canceled before it took a step never runs; with eager tasks it has taken one."""

    async def tool() -> bool:
        task = asyncio.create_task(work())
        stepped = bool(world.runtime.ledger.live())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return stepped

    stepped = run(tool)

    assert world.settle() == ([CANCELED] if stepped else [])


def test_a_cancel_that_the_body_suppresses_is_completed(world: World, run: Run) -> None:
    """A body that catches its cancellation and returns has its value returned, as an asyncio task's."""

    @world.async_task
    async def work() -> str:
        world.began.open()
        try:
            await world.gate.passed()
        except asyncio.CancelledError:
            return "saved what was there"
        return "not canceled"

    async def tool() -> Any:
        task = asyncio.create_task(work())
        await world.began.passed()
        task.cancel()
        return await task

    assert run(tool) == "saved what was there"
    assert world.settle() == [COMPLETED]


def test_a_second_cancel_reaches_the_body_again(world: World, run: Run) -> None:
    """Each Task.cancel() is passed on, as asyncio passes each to what its task waits for."""

    @world.async_task
    async def work() -> None:
        world.began.open()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            world.gate.open()
            await asyncio.get_running_loop().create_future()

    async def tool() -> None:
        task = asyncio.create_task(work())
        await world.began.passed()
        task.cancel("first")
        await world.gate.passed()
        task.cancel("second")
        with pytest.raises(asyncio.CancelledError):
            await task

    run(tool)

    assert world.settle() == [CANCELED]


def test_an_awaited_call_runs_in_place(world: World, run: Run) -> None:
    """Awaited directly inside another coroutine, the body is part of it: same thread, same loop, same asyncio task."""

    @world.async_task
    async def work() -> tuple[str, object]:
        await asyncio.sleep(0)
        return here(), asyncio.current_task()

    async def tool() -> bool:
        return await work() == (here(), asyncio.current_task())

    assert run(tool) is True
    assert world.settle() == [COMPLETED]


def test_an_awaited_call_ends_with_its_awaiter(world: World, work: Work, run: Run) -> None:
    """What is awaited in place is canceled with its awaiter when the loop ends."""

    async def outer() -> None:
        await work()

    async def tool() -> None:
        asyncio.create_task(outer())
        await world.began.passed()

    run(tool)

    assert world.settle() == [CANCELED]


def test_tasks_within_tasks(world: World, run: Run) -> None:
    """A task that runs on the tasks' loop calls and creates others there."""

    @world.async_task
    async def inner(name: str) -> str:
        await asyncio.sleep(0)
        return f"{name} on {here()}"

    @world.async_task
    async def outer() -> list[str]:
        return [await inner("awaited"), *await asyncio.gather(inner("gathered"), asyncio.create_task(inner("created")))]

    async def tool() -> list[str]:
        return await asyncio.create_task(outer())

    assert run(tool) == ["awaited on outlast-tasks", "gathered on outlast-tasks", "created on outlast-tasks"]
    assert world.settle() == [COMPLETED] * 4


def test_exceptions_pass_to_the_awaiter_unchanged(world: World, run: Run) -> None:
    """The very exception that the body raised is raised to whoever awaits it, from either place."""
    error = LookupError("no such page")

    @world.async_task
    async def work() -> None:
        raise error

    async def tool() -> None:
        for awaitable in (work(), asyncio.create_task(work())):
            with pytest.raises(LookupError) as raised:
                await awaitable
            assert raised.value is error

    run(tool)

    assert world.settle() == [FAILED, FAILED]


@pytest.mark.parametrize("exit_", [SystemExit(3), KeyboardInterrupt()])
def test_an_exit_does_not_end_the_tasks_loop(world: World, exit_: BaseException) -> None:
    """sys.exit in a task passes to its awaiter and fails the task; the loop that other tasks share goes on."""

    @world.async_task
    async def work() -> None:
        raise exit_

    @world.async_task
    async def after() -> str:
        return here()

    async def tool() -> None:
        await asyncio.create_task(work())

    with pytest.raises(type(exit_)) as raised:
        world.in_thread(lambda: asyncio.run(tool()))

    assert raised.value is exit_
    assert after.start().result(10) == "outlast-tasks"
    assert world.settle() == [FAILED, COMPLETED]


def test_a_failed_task_that_nobody_awaits_says_so_once(
    world: World, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """When a task fails after its caller's loop ended, asyncio does not complain of an exception never retrieved."""

    @world.async_task
    async def work() -> None:
        world.began.open()
        await world.gate.passed()
        raise LookupError("late")

    async def tool() -> None:
        asyncio.create_task(work())
        await world.began.passed()

    run(tool)
    world.gate.open()

    assert world.settle() == [FAILED]
    gc.collect()
    assert [record.message for record in caplog.records] == []


def test_the_seeds_thread_with_its_own_loop(world: World) -> None:
    """The call is made in one thread and run by run_until_complete in another."""

    @world.async_task
    async def background_task() -> str:
        await asyncio.sleep(0)
        return here()

    def run_in_background(call: Coroutine[Any, Any, str]) -> str:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(call)
        finally:
            loop.close()

    call = background_task()

    assert world.in_thread(lambda: run_in_background(call)) == "outlast-tasks"
    assert world.settle() == [COMPLETED]


def test_on_the_agents_loop_calls_run_in_place(world: World) -> None:
    """Awaited, created or gathered on the agent's loop: the body runs there, as in the original."""

    @world.async_task
    async def work() -> str:
        await asyncio.sleep(0)
        return here()

    async def handler() -> list[str]:
        return [await work(), await asyncio.create_task(work()), *await asyncio.gather(work(), work())]

    assert world.on_agent_loop(handler) == ["outlast-agent"] * 4
    assert world.settle() == [COMPLETED] * 4


def test_a_blocked_agent_loop_does_not_block_its_tools(world: World, run: Run) -> None:
    """An async handler that blocks its loop in ``agent(prompt)`` while tools await, create and gather tasks."""

    @world.async_task
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def tool() -> list[int]:
        created = asyncio.create_task(work(1)), asyncio.create_task(work(2))
        return [await work(0), await created[0], await created[1], *await asyncio.gather(work(3), work(4))]

    async def handler() -> Any:
        return run(tool)  # blocks this loop until the tool's has ended

    assert world.on_agent_loop(handler) == [0, 1, 2, 3, 4]
    assert world.settle() == [COMPLETED] * 5


def test_a_loop_that_is_closed_under_a_task(world: World, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    """A loop that is stopped and closed with no teardown at all: the task lives on, and nothing complains."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def tool() -> None:
        asyncio.create_task(work())
        await world.began.passed()

    def program() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(tool())
        loop.close()
        loops.append(weakref.ref(loop))

    world.in_thread(program)
    gc.collect()
    assert world.the_task().state is TaskState.WORKING
    world.gate.open()

    assert world.settle() == [COMPLETED]
    world.runtime.tasks_loop.close(10)
    gc.collect()
    assert loops[0]() is None
    assert [record.message for record in caplog.records] == []


def test_a_call_that_is_closed_while_it_waits_by_proxy(world: World, work: Work) -> None:
    """close(), which the garbage collector calls too, ends the wait and not the task."""
    call = work()

    async def tool() -> None:
        waiting = asyncio.create_task(call)
        await world.began.passed()
        call.close()
        waiting.cancel()
        await asyncio.wait([waiting])

    world.in_thread(lambda: asyncio.run(tool()))
    # The cancel came while the loop ran, so it was meant, though nobody waited any more.
    assert world.settle() == [CANCELED]


def test_an_in_place_body_that_is_collected_is_canceled(world: World) -> None:
    """A coroutine that is dropped with its loop, never canceled, ends its task: the process is not busy for ever."""

    @world.async_task
    async def work() -> None:
        world.began.open()
        await asyncio.get_running_loop().create_future()

    async def outer() -> None:
        await work()

    def program() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(outer())
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.run_until_complete(world.began.passed())
        loop.close()

    world.in_thread(program)
    gc.collect()

    assert world.settle() == [CANCELED]


def test_async_generators_of_a_task_are_finalised_on_its_loop(world: World, run: Run) -> None:
    """A generator that the body leaves half-way is closed on the loop that the body runs on."""
    closed_on = []
    closed = threading.Event()

    async def pages() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed_on.append(here())
            closed.set()

    @world.async_task
    async def work() -> int:
        async for page in pages():
            return page
        return 0

    async def tool() -> int:
        return await asyncio.create_task(work())

    assert run(tool) == 1
    gc.collect()
    assert closed.wait(10)
    assert closed_on == ["outlast-tasks"]


def test_a_task_created_while_generators_are_shut_down_runs(world: World, work: Work, run: Run) -> None:
    """The last moment of a loop at which user code runs: an async generator's finally, after all was canceled."""

    async def pages() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            asyncio.create_task(work())
            await world.began.passed()

    kept = []

    async def tool() -> None:
        generator = pages()
        kept.append(generator)
        await anext(generator)

    run(tool)

    world.gate.open()
    assert world.settle() == [COMPLETED]


def test_a_call_that_is_never_awaited_starts_nothing(world: World, work: Work) -> None:
    """Python warns of it by the function's name, and no task was ever there."""
    with pytest.warns(RuntimeWarning, match="coroutine '.*work' was never awaited"):
        work()

    assert world.settle() == []


def test_a_call_can_be_awaited_once(world: World, run: Run) -> None:
    """A second await says what is wrong, as it does for any coroutine."""

    @world.async_task
    async def work() -> None: ...

    async def tool() -> None:
        call = work()
        await call
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await call

    run(tool)

    assert world.settle() == [COMPLETED]


def test_a_call_driven_by_no_asyncio_at_all(world: World) -> None:
    """Other frameworks step coroutines by hand: the body runs in place."""

    @world.async_task
    async def work() -> str:
        return here()

    with pytest.raises(StopIteration) as stopped:
        work().send(None)

    assert stopped.value.value == here()
    assert world.settle() == [COMPLETED]


def test_throw_takes_all_forms(world: World) -> None:
    """throw(type), throw(type, value) and throw(exception) raise in the body, without a deprecation warning."""

    class Pause:
        def __await__(self) -> Any:
            yield

    @world.async_task
    async def work() -> str:
        try:
            await Pause()
        except LookupError as error:
            return str(error)
        return ""

    for arguments, said in (
        ((LookupError,), ""),
        ((LookupError, "a"), "a"),
        ((LookupError, LookupError("b")), "b"),
        ((LookupError("c"),), "c"),
    ):
        call = work()
        call.send(None)
        with pytest.raises(StopIteration) as stopped:
            call.throw(*arguments)
        assert stopped.value.value == said
