"""What the hints of SQLite stores are worth: they come from the file, not from who has written to it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from .conftest import Backend
from .making import start_tasks


async def test_own_changes(sqlite: Backend) -> None:
    """A store does not hear of what it has written itself."""
    store = await sqlite.open()
    async with aclosing(store.hints()) as hints:
        waiting = asyncio.ensure_future(anext(hints))
        await asyncio.sleep(0)
        await start_tasks(store, "worker", [1])
        store.announce([1])

        done, _ = await asyncio.wait([waiting], timeout=1.0)

        assert not done
        waiting.cancel()
        await asyncio.wait([waiting])
