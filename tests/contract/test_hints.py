"""Hints: how one process hears of what another one has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from outlast.core.operation import Action

from .conftest import Backend
from .making import DONE, START, operations, register, start_tasks

Hints = AsyncGenerator[frozenset[int] | None, None]


async def heard(hints: Hints, task_id: int) -> None:
    """Wait for a hint that the task may have changed."""
    async for changed in hints:
        if changed is None or task_id in changed:
            return


async def test_another_store(backend: Backend) -> None:
    """Who waits for hints hears, soon, of what another store on the database has changed and announced, each time."""
    one, other = await backend.open(), await backend.open()
    await start_tasks(one, "worker", [1])
    async with aclosing(other.hints()) as hints:
        actions: list[Action] = [DONE, START]
        for first, action in enumerate(actions, 2):
            waiting = asyncio.ensure_future(heard(hints, first - 1))
            async with asyncio.timeout(30):
                while not waiting.done():  # a hint from before it listened is lost, as hints may be
                    await one.apply("worker", operations(first - 1, action, first=first))
                    one.announce([first - 1])
                    await register(one, "worker")
                    await asyncio.wait([waiting], timeout=0.2)
            await waiting


async def test_announcements_never_fail(backend: Backend) -> None:
    """An announcement is taken whatever it says, and by a closed store too."""
    store = await backend.open()
    store.announce([])
    store.announce(range(1, 100_000))
    store.announce([0, -1, 2**80])

    await store.close()

    store.announce([1])


async def test_closed_store(backend: Backend) -> None:
    """Who waits for hints of a store that is closed is not left waiting for ever."""
    store = await backend.open()

    async def listen() -> str:
        async for _ in store.hints():
            pass
        return "the end"

    listening = asyncio.ensure_future(listen())
    await asyncio.sleep(0)

    await store.close()

    assert await asyncio.wait_for(listening, 30) == "the end"


async def test_a_close_right_after_a_change(backend: Backend) -> None:
    """However soon a store is closed after it has announced something: it is closed, and nothing goes on."""
    other = await backend.open()
    for turns in range(6):
        store = await backend.open()
        async with aclosing(other.hints()) as hints, asyncio.timeout(30):
            waiting = asyncio.ensure_future(heard(hints, 1))
            while not waiting.done():  # until it is known to be at work
                await register(store, "worker")
                store.announce([1])
                await asyncio.wait([waiting], timeout=0.1)

        store.announce([1])
        for _ in range(turns):
            await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await store.close()
