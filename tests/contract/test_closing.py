"""The end of a store, and of those who wait for it."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import StoreUnavailable
from outlastd.stores.port import TaskStore

from .conftest import Backend
from .making import START, operations, register


async def test_close_finishes_what_is_under_way(backend: Backend) -> None:
    """Everything that was asked before the store closes is answered and on record."""
    store = await backend.open()
    await register(store, "worker")
    writes = [
        asyncio.ensure_future(store.apply("worker", operations(number, START, first=number)))
        for number in range(1, 501)
    ]
    await asyncio.sleep(0)  # one turn: all of them are handed over

    await store.close()

    assert all([len((await write).changes) == 1 for write in writes])
    again = await backend.open()
    assert (await again.get(500)).task_id == 500


async def test_closed_store(store: TaskStore) -> None:
    """A closed store says so, and may be closed again."""
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await register(store, "worker")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get(1)


async def test_caller_that_goes_away(store: TaskStore) -> None:
    """A caller that stops waiting disturbs nobody; what it asked for is done."""
    await register(store, "worker")
    gone = asyncio.ensure_future(store.apply("worker", operations(1, START)))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone

    assert len((await store.apply("worker", operations(2, START, first=2))).changes) == 1
    assert (await store.get(1)).task_id == 1
