"""Awaits on one loop what runs on another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from outlastd.front_door.asgi_types import Message, Receive, Send

T = TypeVar("T")


async def run_on(loop: asyncio.AbstractEventLoop, steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on another loop, in a copy of this context; a cancel here is one there."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(steps, loop))


async def run_to_the_end_on(loop: asyncio.AbstractEventLoop, steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on another loop as ``run_on`` does; a cancel here is one there, and waits for its end there."""
    here = asyncio.get_running_loop()
    ended: asyncio.Future[None] = here.create_future()
    tasks: list[asyncio.Task[T]] = []

    def begin() -> None:
        task = loop.create_task(steps)
        tasks.append(task)
        task.add_done_callback(tell)

    def tell(task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # nobody may ask for it any more
        with contextlib.suppress(RuntimeError):  # who waited is gone, and its loop
            here.call_soon_threadsafe(ended.set_result, None)

    loop.call_soon_threadsafe(begin)
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:  # a cancel scope asks again and again
            if cancelled is None:
                cancelled = error
                loop.call_soon_threadsafe(lambda: tasks[0].cancel())
    if cancelled is not None:
        raise cancelled
    return tasks[0].result()


def from_elsewhere(receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Return both ends of a connection for use on any loop; they run on the loop that this is called on."""
    here = asyncio.get_running_loop()

    async def receive_here() -> Message:
        return await call_on(here, receive)

    async def send_here(message: Message) -> None:
        await call_on(here, send, message)

    return receive_here, send_here


async def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Call ``function`` on another loop and await there what it returns."""

    async def call() -> T:
        return await function(*arguments)

    return await run_on(loop, call())
