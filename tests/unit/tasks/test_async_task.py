"""The decorated function stands for the function everywhere, and a plain ``def`` is a task too."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import typing
from typing import TYPE_CHECKING, Any

import pytest

from outlast.core.errors import InvalidField
from outlast.core.state import TaskState

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World

COMPLETED, FAILED = TaskState.COMPLETED, TaskState.FAILED


async def research(topic: str, *, pages: int = 3) -> dict[str, int]:
    """Read about a topic."""
    return {topic: pages}


def summarize(topic: str, *, pages: int = 3) -> dict[str, int]:
    """Sum up a topic."""
    return {topic: pages}


@pytest.mark.parametrize("function", [research, summarize])
def test_it_looks_like_its_function(world: World, function: Any) -> None:
    """Name, documentation, signature, annotations and the way to the function are kept."""
    task = world.async_task(function)

    assert (task.__name__, task.__doc__, task.__module__) == (function.__name__, function.__doc__, function.__module__)
    assert inspect.signature(task) == inspect.signature(function)
    assert typing.get_type_hints(task) == typing.get_type_hints(function)
    assert inspect.unwrap(task) is function
    assert function.__name__ in repr(task)


def test_inspect_sees_a_coroutine_function_where_there_is_one(world: World) -> None:
    """Frameworks ask inspect whether to await a tool: functions, partials, callables and methods."""

    class Callable:
        async def __call__(self) -> None: ...

    class Agent:
        @world.async_task
        async def method(self) -> None: ...

        @world.async_task
        def plain(self) -> None: ...

    ask = inspect.iscoroutinefunction
    assert ask(world.async_task(research))
    assert ask(world.async_task(functools.partial(research, "x")))
    assert ask(world.async_task(Callable()))
    assert ask(Agent.method)
    assert ask(Agent().method)
    assert not ask(world.async_task(summarize))
    assert not ask(Agent().plain)


@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning")
def test_asyncio_sees_a_coroutine_function_where_there_is_one(world: World) -> None:
    """Older frameworks ask asyncio."""
    assert asyncio.iscoroutinefunction(world.async_task(research))
    assert not asyncio.iscoroutinefunction(world.async_task(summarize))


def test_a_call_is_what_inspect_and_asyncio_await(world: World) -> None:
    """A call passes for a coroutine with asyncio, for an awaitable with inspect."""
    call = world.async_task(research)("x")

    assert asyncio.iscoroutine(call)
    assert inspect.isawaitable(call)
    assert "research" in repr(call)
    call.close()


def test_methods_bind(world: World) -> None:
    """On an instance, a class or a static method: calling and starting pass the right first argument."""

    class Agent:
        def __init__(self, name: str) -> None:
            self.name = name

        @world.async_task
        async def ask(self, question: str) -> str:
            return f"{self.name}: {question}"

        @world.async_task
        def tell(self, answer: str) -> str:
            return f"{self.name}: {answer}"

        @world.async_task
        @classmethod
        def make(cls, name: str) -> str:
            return f"{cls.__name__} {name}"

        @world.async_task
        @staticmethod
        def add(a: int, b: int) -> int:
            return a + b

        @staticmethod
        @world.async_task
        def multiply(a: int, b: int) -> int:
            return a * b

        @classmethod
        @world.async_task
        def name_of(cls, name: str) -> str:
            return f"{cls.__name__} {name}"

    agent = Agent("ada")

    async def main() -> str:
        return await agent.ask("why?")

    assert world.in_thread(lambda: asyncio.run(main())) == "ada: why?"
    assert agent.ask.start("how?").result(10) == "ada: how?"
    assert agent.tell("42") == agent.tell.start("42").result(10) == "ada: 42"
    assert Agent.tell(agent, "43") == "ada: 43"
    assert Agent.make("x") == agent.make.start("x").result(10) == "Agent x"
    assert Agent.add(2, 3) == agent.add.start(2, 3).result(10) == 5
    assert Agent.multiply(2, 3) == agent.multiply.start(2, 3).result(10) == 6
    assert Agent.name_of("x") == "Agent x"
    assert list(inspect.signature(agent.ask).parameters) == ["question"]


def test_the_task_type_is_the_functions_name_or_the_given_one(world: World) -> None:
    """``@async_task(name=...)`` names the task type; a partial has the name of its function."""
    assert world.async_task(research).task_type == "research"
    assert world.async_task(name="调查")(research).task_type == "调查"
    partial = world.async_task(functools.partial(research, "x"))
    assert (partial.task_type, vars(partial)["__name__"]) == ("research", "research")
    with pytest.raises(InvalidField, match="name"):
        world.async_task(name="two\nlines")(research)


def test_generators_and_classes_are_refused(world: World) -> None:
    """What gives several values, or is no function, cannot be a task: said at the decorator."""

    async def pages() -> Any:
        yield 1

    def lines() -> Any:
        yield 1

    not_a_function: Any
    for not_a_function in (pages, lines, type("Agent", (), {}), "research"):
        with pytest.raises(TypeError, match="@async_task is"):
            world.async_task(not_a_function)


@pytest.mark.parametrize("function", [research, summarize])
def test_wrong_arguments_are_said_at_the_call(world: World, function: Any) -> None:
    """Calling and starting with arguments that do not fit raise there and then, and start nothing."""
    task = world.async_task(function)

    with pytest.raises(TypeError, match="topic"):
        task.start()
    with pytest.raises(TypeError, match="topic"):
        task()
    assert all(state is FAILED for state in world.settle())
    assert not world.runtime.ledger.busy
    assert world.runtime.threads.running == 0


def test_a_plain_function_runs_in_place(world: World) -> None:
    """Calling a decorated ``def`` calls it here and now, tracked while it runs, its exception unchanged."""

    @world.async_task
    def work(fail: bool) -> threading.Thread:
        assert world.the_task().task_type == "work"
        if fail:
            raise LookupError("no such page")
        return threading.current_thread()

    assert work(False) is threading.current_thread()
    with pytest.raises(LookupError, match="no such page"):
        work(True)
    assert world.settle() == [COMPLETED, FAILED]
    finish = world.ends[1][0].finish
    assert finish is not None
    assert finish.error is not None
    assert (finish.error.code, finish.error.message, finish.error.type) == (2, "no such page", "LookupError")


def test_a_plain_function_is_the_target_of_a_thread(world: World) -> None:
    """What the second seed document wishes for: the decorated ``def`` given to threading.Thread."""

    @world.async_task
    def background_work() -> None:
        world.gate.wait()

    thread = threading.Thread(target=background_work, daemon=True)
    thread.start()
    world.gate.open()
    thread.join()

    assert world.settle() == [COMPLETED]


def test_types_are_kept(world: World) -> None:
    """A type checker sees the arguments and the value of calls, starts and handles."""
    asynchronous, synchronous = world.async_task(research), world.async_task(name="named")(summarize)

    async def main() -> None:
        awaited: dict[str, int] = await asynchronous("x", pages=1)
        assert awaited == {"x": 1}

    called: dict[str, int] = synchronous("x", pages=1)
    started: dict[str, int] = synchronous.start("x", pages=1).result(10)
    world.in_thread(lambda: asyncio.run(main()))

    assert called == started == {"x": 1}
