"""A runtime whose tasks can be waited for, and the ways in which a program may run a coroutine."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anyio
import pytest
import uvloop

from outlast.core.operation import Finish
from outlast.core.state import TaskState
from outlast.tasks.async_task import AsyncTaskDecorator
from outlast.tasks.ending import Ending
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.tracked import TrackedTask

T = TypeVar("T")
Main = Callable[[], Coroutine[Any, Any, Any]]

#: Far above what anything here takes; only a failure waits that long.
PATIENCE = 20.0


class Gate:
    """Coroutines on any loop wait here until the test lets them go on."""

    def __init__(self) -> None:
        self._open = Ending()

    def open(self) -> None:
        """Let everybody go on, now and later."""
        self._open.happen()

    async def passed(self) -> None:
        """Wait on the running loop."""
        await self._open.reach(asyncio.get_running_loop().create_future())

    def wait(self) -> None:
        """Wait in this thread."""
        assert self._open.block(PATIENCE)


class World:
    """A runtime, and what its tasks did."""

    def __init__(self) -> None:
        self.runtime = TaskRuntime()
        self.async_task = AsyncTaskDecorator(self.runtime)
        #: Every function that ended, in order, with what ended it.
        self.ends: list[tuple[TrackedTask, BaseException | None]] = []
        self.runtime.on_function_end = self._note_end
        self._idle = threading.Event()
        self._idle.set()
        self.runtime.ledger.on_busy(lambda busy: self._idle.clear() if busy else self._idle.set())
        #: For bodies to say that they began, and to wait for the test.
        self.began, self.gate = Gate(), Gate()

    def _note_end(
        self, tracked: TrackedTask, finish: Finish, seconds: float, error: BaseException | None
    ) -> Callable[[], None]:
        self.ends.append((tracked, error))
        return lambda: None

    def settle(self) -> list[TaskState]:
        """Wait until no task lives; return how the functions ended, in order."""
        assert self._idle.wait(PATIENCE)
        return [tracked.state for tracked, _ in self.ends]

    def run_empty(self) -> None:
        """Wait until everything that the tasks' loop was given by now has had its turns."""

        async def turns() -> None:
            for _ in range(5):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(turns(), self.runtime.tasks_loop.loop).result(PATIENCE)

    def the_task(self) -> TrackedTask:
        """Return the one task that lives."""
        (task,) = self.runtime.ledger.live()
        return task

    def in_thread(self, function: Callable[[], T]) -> T:
        """Run ``function`` in a new thread, which has an empty context; return or raise what it does."""
        outcome: list[T] = []
        errors: list[BaseException] = []

        def main() -> None:
            try:
                outcome.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=main, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        if errors:
            raise errors[0]
        return outcome[0]

    def on_agent_loop(self, main: Main) -> Any:
        """Run a coroutine on the agent's loop, as an entrypoint."""
        return asyncio.run_coroutine_threadsafe(main(), self.runtime.agent_loop.loop).result(PATIENCE)


@pytest.fixture
def world() -> Iterator[World]:
    """A runtime of one's own; what is left at the end may go on, and its loops end."""
    world = World()
    yield world
    world.gate.open()
    world.runtime.agent_loop.close(PATIENCE)
    world.runtime.tasks_loop.close(PATIENCE)


def _by_hand(main: Main) -> Any:
    """A loop that is torn down in the way of asyncio.run, by code of the user's own."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()


def _eagerly(main: Main) -> Any:
    def factory() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        if sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


RUNNERS: dict[str, Callable[[Main], Any]] = {
    "asyncio.run": lambda main: asyncio.run(main()),
    "uvloop.run": lambda main: uvloop.run(main()),
    "anyio.run": lambda main: anyio.run(main),
    "by hand": _by_hand,
}
if sys.version_info >= (3, 12):
    RUNNERS["eager tasks"] = _eagerly


@pytest.fixture(params=list(RUNNERS))
def run(request: pytest.FixtureRequest, world: World) -> Callable[[Main], Any]:
    """Each way to run a coroutine on a short-lived loop, in a thread of its own."""
    runner = RUNNERS[request.param]
    return lambda main: world.in_thread(lambda: runner(main))


@pytest.fixture
def run_by_hand(world: World) -> Callable[[Main], Any]:
    """The way whose teardown is somebody's own."""
    return lambda main: world.in_thread(lambda: _by_hand(main))


@pytest.fixture(params=[name for name in RUNNERS if name != "by hand"])
def run_of_a_library(request: pytest.FixtureRequest, world: World) -> Callable[[Main], Any]:
    """The ways whose teardown is asyncio's own."""
    runner = RUNNERS[request.param]
    return lambda main: world.in_thread(lambda: runner(main))
