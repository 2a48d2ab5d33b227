"""What ``@async_task(max_attempts=..., timeout=..., backoff=...)`` takes, and where it holds."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, assert_type

import pytest

from outlast.core.errors import InvalidField
from outlast.tasks.async_task import AsyncTask
from outlast.tasks.call import TaskCall
from outlast.tasks.handle import TaskHandle

if TYPE_CHECKING:
    from tests.unit.tasks.conftest import World


async def research(topic: str, pages: int = 3) -> dict[str, int]:
    """Find pages."""
    return {topic: pages}


def summarize(topic: str) -> list[str]:
    """Put it short."""
    return [topic]


def test_a_start_carries_the_options(world: World) -> None:
    """Seconds or timedeltas, on either kind of function: the start of every task says them."""
    hold = world.gate.passed
    numbers = world.async_task(name="hold", max_attempts=3, timeout=1.5, backoff=0)(hold)
    durations = world.async_task(hold, max_attempts=1000, timeout=timedelta(hours=1), backoff=timedelta(seconds=5))
    plain = world.async_task(world.gate.wait, name="wait", max_attempts=2)

    for task in (numbers, durations, plain):
        task.start()

    starts = [task.start for task in world.runtime.ledger.live()]
    assert [(start.max_attempts, start.timeout, start.backoff) for start in starts] == [
        (3, timedelta(seconds=1.5), timedelta()),
        (1000, timedelta(hours=1), timedelta(seconds=5)),
        (2, None, None),
    ]
    assert [start.input for start in starts] == [b'{"args": [], "kwargs": {}}'] * 3
    assert not any(start.manual for start in starts)


@pytest.mark.parametrize("how", ["in place", "by proxy", "on this thread"])
def test_a_direct_call_is_one_attempt_without_a_timeout(world: World, how: str) -> None:
    """A call raises to its caller, who may call again: nothing of it is recorded for another attempt."""
    options: dict[str, Any] = {"max_attempts": 3, "timeout": 60, "backoff": 1}

    @world.async_task(**options)
    async def fail(what: object) -> None:
        raise LookupError("no such page")

    @world.async_task(**options)
    def fail_here(what: object) -> None:
        raise LookupError("no such page")

    async def tool() -> None:
        await (asyncio.create_task(fail(object())) if how == "by proxy" else fail(object()))

    def call() -> None:
        if how == "on this thread":
            fail_here(object())
        else:
            world.in_thread(lambda: asyncio.run(tool()))

    with pytest.raises(LookupError, match="no such page"):
        call()

    world.settle()
    ((tracked, _),) = world.ends
    start = tracked.start
    assert (start.max_attempts, start.timeout, start.backoff, start.input) == (1, None, None, None)


def test_arguments_of_one_attempt_are_not_recorded(world: World) -> None:
    """Whatever they are: nobody else will ever need them."""
    seen: list[object] = []
    what = object()

    @world.async_task(timeout=60)
    async def look(at: object) -> None:
        seen.append(at)
        seen.append(world.the_task().start.input)

    look.start(what).result(10)

    assert seen == [what, None]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"max_attempts": 0}, "max_attempts: 0 is not between 1 and 1,000"),
        ({"max_attempts": 1001}, "max_attempts: 1001 is not between 1 and 1,000"),
        ({"max_attempts": True}, "max_attempts: is bool, not a whole number"),
        ({"max_attempts": 2.0}, "max_attempts: is float, not a whole number"),
        ({"timeout": 0}, "timeout: 0 s is not above zero"),
        ({"timeout": timedelta(seconds=-1)}, "timeout: -1 s is not above zero"),
        ({"timeout": "5s"}, "timeout: '5s' is no number of seconds and no timedelta"),
        ({"timeout": float("nan")}, "timeout: nan is no number of seconds"),
        ({"timeout": timedelta.max}, "timeout: .* is over the limit of 3,650 days"),
        ({"backoff": timedelta(days=31)}, "backoff: 31 days, 0:00:00 is over the limit of 30 days"),
        ({"backoff": -0.5}, "backoff: -0.5 s is not zero or above zero"),
        ({"backoff": float("inf")}, "backoff: inf is no number of seconds"),
        ({"backoff": True}, "backoff: True is no number of seconds"),
    ],
)
def test_what_cannot_be_kept_is_said_at_the_decorator(world: World, options: dict[str, Any], match: str) -> None:
    """Before there is a task to lose: with and without the function at hand."""
    with pytest.raises(InvalidField, match=match):
        world.async_task(**options)
    with pytest.raises(InvalidField, match=match):
        world.async_task(research, **options)
    assert world.async_task.functions == {}


def test_methods_cannot_be_tried_again(world: World) -> None:
    """Another process has not got the object: TypeError at the start; calls, static and plain functions work."""

    class Agent:
        @world.async_task(max_attempts=2)
        async def ask(self, question: str) -> str:
            return question

        @world.async_task(max_attempts=2)
        @classmethod
        def make(cls, name: str) -> str:
            return name

        @world.async_task(max_attempts=2)
        @staticmethod
        def add(a: int, b: int) -> int:
            return a + b

        @staticmethod
        @world.async_task(max_attempts=2)
        def multiply(a: int, b: int) -> int:
            return a * b

    agent = Agent()
    for method in (agent.ask, Agent.make, agent.make):
        with pytest.raises(TypeError, match="max_attempts=2 and is a method"):
            method.start("why?")
    with pytest.raises(InvalidField, match=r"self: is .*Agent, which is not JSON"):
        Agent.ask.start(agent, "why?")
    assert not world.runtime.ledger.busy

    async def call() -> str:
        return await agent.ask("why?")

    assert world.in_thread(lambda: asyncio.run(call())) == "why?"
    assert agent.add.start(2, 3).result(10) == Agent.add.start(2, 3).result(10) == 5
    assert agent.multiply.start(2, 3).result(10) == 6


def test_types_are_kept_with_options(world: World) -> None:
    """A type checker sees through the decorator, with options and without."""
    asynchronous = world.async_task(max_attempts=3, timeout=5.0)(research)
    synchronous = world.async_task(summarize, backoff=timedelta(seconds=1))

    assert_type(synchronous("x"), list[str])
    assert_type(synchronous.start("x"), TaskHandle[list[str]])
    assert_type(asynchronous.start("x", pages=1), TaskHandle[dict[str, int]])
    if TYPE_CHECKING:
        assert_type(asynchronous("x"), TaskCall[dict[str, int]])
        asynchronous.start(1)  # type: ignore[arg-type]
        world.async_task(max_attempts="3")  # type: ignore[call-overload]
    assert isinstance(asynchronous, AsyncTask)
    world.settle()
