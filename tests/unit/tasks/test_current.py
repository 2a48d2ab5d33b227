"""What a task's code knows: its task, its request, on whichever loop or thread it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.errors import InvalidField
from outlast.core.operation import Finish, Output, Report, Start
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TraceContext
from outlast.tasks.current import CurrentTask, current_task
from outlast.tasks.ledger import Ledger
from outlast.tasks.tracked import TrackedTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.tasks.conftest import World

    Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]

language: ContextVar[str] = ContextVar("language", default="en")


def actions(ledger: Ledger) -> list[Any]:
    """Return what the ledger has queued, answering each operation: an end follows the answer to its start."""
    queued = []
    while operations := ledger.take(1, 1 << 30):
        queued += [operation.action for operation in operations]
        ledger.answer(operations[-1].sequence)
    return queued


def test_outside_of_a_task_there_is_none() -> None:
    """current_task() says so instead of giving None."""
    with pytest.raises(RuntimeError, match="outside of a task"):
        current_task()


def test_the_current_task_follows_the_code(world: World) -> None:
    """In place, on the tasks' loop, on a task's thread, in to_thread, and in the coroutines that a task creates."""

    @world.async_task
    def plain() -> int:
        return current_task().task_id

    @world.async_task
    async def work() -> set[int]:
        async def child() -> int:
            return current_task().task_id

        inner = await asyncio.create_task(child())
        assert current_task().name == f"tasks/{current_task().task_id}"
        return {current_task().task_id, inner, await asyncio.to_thread(lambda: current_task().task_id)}

    async def tool() -> list[set[int]]:
        own = [await work(), await asyncio.create_task(work())]
        with pytest.raises(RuntimeError):
            current_task()
        return own

    for ids in world.in_thread(lambda: asyncio.run(tool())):
        assert len(ids) == 1
    handle, other = plain.start(), work.start()
    assert handle.result(10) == handle.task_id
    assert other.result(10) == {other.task_id}
    assert plain() == world.ends[-1][0].task_id


def test_a_task_within_a_task_is_the_inner_one(world: World) -> None:
    """A nested call is the current task while it runs, and the outer one after it."""

    @world.async_task
    async def inner() -> str:
        return current_task().task_type

    @world.async_task
    async def outer() -> list[str]:
        return [current_task().task_type, await inner(), current_task().task_type]

    assert outer.start().result(10) == ["outer", "inner", "outer"]


def test_the_request_follows_the_task_everywhere(world: World, run: Run) -> None:
    """Invocation and context variables of the caller reach the body, in place, by proxy and on threads."""

    @world.async_task
    async def work() -> tuple[Invocation | None, str]:
        return current_invocation.get(), language.get()

    @world.async_task
    def plain() -> tuple[Invocation | None, str]:
        return current_invocation.get(), language.get()

    invocation = Invocation("request-1", "session-1")

    async def tool() -> None:
        current_invocation.set(invocation)
        language.set("ja")
        for seen in [
            await work(),
            await asyncio.create_task(work()),
            await work.start(),
            await plain.start(),
            plain(),
        ]:
            assert seen == (invocation, "ja")

    run(tool)

    starts = [tracked.start for tracked, _ in world.ends]
    assert {(start.request_id, start.session_id) for start in starts} == {("request-1", "session-1")}
    assert invocation.task_ids == [tracked.task_id for tracked, _ in world.ends]


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_call_handed_to_a_bare_thread_keeps_its_request(world: World, wrapped: bool) -> None:
    """The seed's thread with a loop of its own has an empty context: the call brings the request along."""

    @world.async_task
    async def work() -> str:
        invocation = current_invocation.get()
        return invocation.request_id if invocation else "lost"

    async def wrap(call: Coroutine[Any, Any, str]) -> str:
        seen = await call
        assert current_invocation.get() is None
        return seen

    token = current_invocation.set(Invocation("request-1"))
    call = work()
    current_invocation.reset(token)

    def main() -> str:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(wrap(call) if wrapped else call)
        finally:
            loop.close()

    assert world.in_thread(main) == "request-1"
    world.settle()
    assert world.ends[0][0].start.request_id == "request-1"


def test_progress_and_output_are_recorded(world: World) -> None:
    """progress(), of which the newest counts, and emit() become operations between the task's start and its end."""
    world.runtime.ledger.attach(lambda: None)

    @world.async_task
    def work() -> str:
        task = current_task()
        task.progress(message="hardly")
        task.emit({"page": 1})
        task.progress(0.5, "half\x00way \ud800")
        return "done"

    work()

    start, report, page, end = actions(world.runtime.ledger)
    assert isinstance(start, Start)
    assert isinstance(report, Report)
    assert (report.progress.fraction, report.progress.message) == (0.5, "half\\x00way \\ud800")
    assert page == Output(b'[{"page": 1}]')
    assert end == Finish(TaskState.COMPLETED, result=b'"done"')


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf")])
def test_progress_is_a_fraction(world: World, fraction: float) -> None:
    """Percentages and nonsense are refused where they are said."""

    @world.async_task
    def work() -> None:
        current_task().progress(fraction)

    with pytest.raises(ValueError, match="between 0 and 1"):
        work()


def test_a_chunk_over_the_limit_is_refused(world: World) -> None:
    """emit() names size and limit, and the task may go on."""
    world.runtime.max_result_bytes = 10

    @world.async_task
    def work() -> None:
        with pytest.raises(InvalidField, match="chunk: is 12 bytes of JSON, over the limit of 10"):
            current_task().emit("x" * 10)

    work()

    assert world.settle() == [TaskState.COMPLETED]


def test_an_ended_task_reports_nothing(world: World) -> None:
    """A thread that the body left behind may still say something: it goes nowhere, and raises nothing."""
    world.runtime.ledger.attach(lambda: None)
    kept: list[CurrentTask] = []

    @world.async_task
    def work() -> None:
        kept.append(current_task())

    work()
    kept[0].progress(1)
    kept[0].emit("late")

    assert len(actions(world.runtime.ledger)) == 2


@pytest.mark.parametrize("place", ["in place", "by proxy", "started", "on the agent's loop"])
def test_a_cancel_from_outside_reaches_the_body(world: World, place: str) -> None:
    """Whoever asks, from whichever thread: the body gets CancelledError once, and its task says who asked."""
    caught = []

    @world.async_task
    async def work() -> None:
        world.began.open()
        try:
            await world.gate.passed()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            caught.append(current_task().cancelled)
            raise

    async def tool() -> None:
        awaited: Awaitable[None] = work.start() if place == "started" else work()
        if place == "by proxy":
            awaited = asyncio.ensure_future(awaited)
        with pytest.raises(asyncio.CancelledError):
            await awaited

    def cancel() -> None:
        world.began.wait()
        task = world.the_task()
        task.cancel()
        task.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    if place == "on the agent's loop":
        world.on_agent_loop(tool)
    else:
        world.in_thread(lambda: asyncio.run(tool()))
    thread.join()

    assert caught == [True]
    assert world.settle() == [TaskState.CANCELED]
    finish = world.ends[0][0].finish
    assert finish is not None
    assert finish.state_reason == StateReason.CANCEL_REQUESTED


def test_a_cancel_that_a_body_in_place_deals_with_leaves_its_awaiter_alone(world: World) -> None:
    """The body suppressed it and returned: the awaiter goes on, and is not seen as being canceled."""

    @world.async_task
    async def work() -> str:
        world.the_task().cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        return "saved"

    async def tool() -> str:
        value = await work()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)
        return value

    assert world.in_thread(lambda: asyncio.run(tool())) == "saved"
    assert world.settle() == [TaskState.COMPLETED]


def test_a_cancel_that_comes_too_late_leaves_the_awaiter_alone(world: World) -> None:
    """A cancel that reaches the loop when the body has returned does not hit whoever awaited it."""

    @world.async_task
    async def work() -> str:
        world.the_task().cancel()
        return "done"

    async def tool() -> str:
        value = await work()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return value

    assert world.in_thread(lambda: asyncio.run(tool())) == "done"
    assert world.settle() == [TaskState.COMPLETED]


def test_a_task_that_cancels_itself_says_so(world: World) -> None:
    """Nobody asked: the reason is SELF."""

    @world.async_task
    async def work() -> None:
        raise asyncio.CancelledError

    async def tool() -> None:
        with pytest.raises(asyncio.CancelledError):
            await work()

    world.in_thread(lambda: asyncio.run(tool()))

    assert world.settle() == [TaskState.CANCELED]
    finish = world.ends[0][0].finish
    assert finish is not None
    assert finish.state_reason == StateReason.SELF


def test_trace_hooks_are_asked_where_the_caller_is_and_bound_where_the_body_runs(world: World, run: Run) -> None:
    """The parent of a task's span is the caller's; the task's own span is current while the body runs."""
    span: ContextVar[str] = ContextVar("span", default="")

    class Hooks:
        def trace_context_for_new_task(self) -> TraceContext:
            return TraceContext(f"{span.get()} in {language.get()}")

        def task_scope(self, tracked: TrackedTask) -> AbstractContextManager[object]:
            return self._scope(tracked)

        @contextmanager
        def _scope(self, tracked: TrackedTask) -> Iterator[None]:
            token = span.set(tracked.name)
            yield
            span.reset(token)

    world.runtime.trace = Hooks()

    @world.async_task
    async def work() -> bool:
        await asyncio.sleep(0)
        return span.get() == current_task().name

    async def tool() -> None:
        span.set("tool")
        language.set("ja")
        for awaitable in (work(), asyncio.create_task(work()), work.start()):
            assert await awaitable
        assert span.get() == "tool"

    run(tool)

    assert {tracked.start.trace_context.traceparent for tracked, _ in world.ends} == {"tool in ja"}
