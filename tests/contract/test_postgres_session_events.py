"""The events of a session on PostgreSQL, where transactions commit in another order than they began."""

from __future__ import annotations

import asyncio

import asyncpg

from outlast.core.operation import Start
from outlastd.stores.port import SessionEvent, TaskStore
from outlastd.stores.postgres import PostgresTaskStore

from .making import DONE, HALF, operations, register

MINE = Start("research", session_id="mine")


async def read_on(store: TaskStore, found: list[SessionEvent]) -> None:
    """Read what has come after the last event."""
    while page := await store.session_events("mine", found[-1].cursor if found else "", 2):
        found += page


async def test_commit_that_is_held(postgres_url: str) -> None:
    """A transaction that wrote first and commits a second later is neither lost nor read twice."""
    store = await PostgresTaskStore.open(postgres_url)
    slow, fast = await PostgresTaskStore.open(postgres_url), await PostgresTaskStore.open(postgres_url)
    await register(slow, "slow")
    await register(fast, "fast")
    await fast.apply("fast", operations(1, MINE))
    found: list[SessionEvent] = []
    await read_on(store, found)
    assert _of(found) == [(1, 1)]

    # The events are written, the commit waits: every statement of the store commits only after this trigger.
    holder = await asyncpg.connect(postgres_url)
    await holder.execute(
        """
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.worker_id = ''slow'' THEN PERFORM pg_sleep(1); END IF; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON outlast.tasks DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION hold()
        """
    )
    held = asyncio.ensure_future(slow.apply("slow", operations(2, MINE, HALF)))
    async with asyncio.timeout(30):
        while not await holder.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            pass
    await fast.apply("fast", operations(1, HALF, DONE, first=2))
    await fast.apply("fast", operations(3, MINE, first=4))
    assert (await store.get(3)).generation == 1  # committed, while the other is not
    assert not held.done()

    while not held.done():
        await read_on(store, found)
        await asyncio.sleep(0.01)
    await held
    await read_on(store, found)

    assert sorted(_of(found)) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]
    again: list[SessionEvent] = []
    await read_on(store, again)
    assert again == found
    await holder.close()
    for each in (store, slow, fast):
        await each.close()


def _of(found: list[SessionEvent]) -> list[tuple[int, int]]:
    return [(each.event.task_id, each.event.generation) for each in found]
