"""Calls of handlers: the way to the agent's loop and back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest

from outlast.tasks.call_pool import CallPool
from outlast.tasks.entrypoints import Entrypoints, Outcome
from outlast.tasks.handler import Entrypoint
from outlast.tasks.ledger import Ledger
from outlast.tasks.loops import LoopThread


class AsItIs:
    """Renders nothing."""

    def value(self, value: object) -> object:
        """Return the value."""
        return value

    def item(self, item: object) -> bytes:
        """Not asked for."""
        raise NotImplementedError

    def error(self, error: BaseException) -> BaseException:
        """Return the exception."""
        return error


@pytest.fixture
def agent_loop() -> Iterator[LoopThread]:
    """The loop of async handlers."""
    loop = LoopThread("outlast-agent")
    _ = loop.loop
    yield loop
    loop.close(5.0)


@pytest.fixture
def entrypoints(agent_loop: LoopThread) -> Entrypoints[object, BaseException]:
    """What calls them."""
    return Entrypoints(Ledger(), agent_loop, CallPool(), AsItIs())


async def _call(entrypoints: Entrypoints[object, BaseException], handler: Any) -> Outcome[object, BaseException]:
    async with asyncio.timeout(5.0):
        return await entrypoints.run(Entrypoint.of(handler), {}, lambda: None, copy_context())


async def test_calls_of_one_turn_begin_together_and_in_order(entrypoints: Entrypoints[object, BaseException]) -> None:
    """Each handler's task exists before the first of them takes a step, and they take it in the order of the calls."""
    order: list[int] = []

    def numbered(number: int) -> Any:
        async def handler(payload: object) -> int:
            order.append(number)
            return len(asyncio.all_tasks())

        return handler

    outcomes = await asyncio.gather(*(_call(entrypoints, numbered(number)) for number in range(3)))

    assert order == [0, 1, 2]
    assert [outcome.value for outcome in outcomes] == [3, 2, 1]


async def test_a_call_canceled_before_its_first_step_is_told(entrypoints: Entrypoints[object, BaseException]) -> None:
    """Whoever waits for a handler that another one has canceled before it began hears of it."""

    async def cancels_all(payload: object) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def never_begun(payload: object) -> None:
        raise AssertionError

    first, second = await asyncio.gather(_call(entrypoints, cancels_all), _call(entrypoints, never_begun))

    assert first.error is None
    assert isinstance(second.error, asyncio.CancelledError)


async def test_a_loop_that_is_closed_is_told(
    entrypoints: Entrypoints[object, BaseException], agent_loop: LoopThread
) -> None:
    """A call that can no longer be made raises."""

    async def handler(payload: object) -> None:
        raise AssertionError

    agent_loop.close(5.0)
    with pytest.raises(RuntimeError, match="closed"):
        await _call(entrypoints, handler)


async def test_a_call_that_cannot_begin_fails_alone(
    entrypoints: Entrypoints[object, BaseException], agent_loop: LoopThread
) -> None:
    """The calls behind it in the same turn begin: a program's task factory may raise."""
    made: list[object] = []

    def second_only(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        made.append(coro)
        if len(made) == 1:
            coro.close()
            raise ValueError("not this one")
        return asyncio.Task(coro, loop=loop, **more)

    async def handler(payload: object) -> int:
        return 1

    agent_loop.post(agent_loop.loop.set_task_factory, second_only)
    first, second = await asyncio.gather(_call(entrypoints, handler), _call(entrypoints, handler))

    assert isinstance(first.error, ValueError)
    assert second.value == 1
