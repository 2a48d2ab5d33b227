"""The events of one task in a session on PostgreSQL: in order, whichever of their transactions began first."""

from __future__ import annotations

from outlastd.stores import postgres_statements as statements
from outlastd.stores import postgres_worker_writes as worker_writes
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.postgres_connecting import first_connection

from .making import register, submission


async def test_claim_that_began_before_the_task_was_there(postgres_url: str) -> None:
    """A claim locks its worker and then finds a task of a younger transaction: it is created first for watchers too."""
    store = await PostgresTaskStore.open(postgres_url)
    worker = await register(store, "worker", "agent", "research")
    async with first_connection(postgres_url) as connection:
        async with connection.transaction():
            await connection.fetchrow(statements.SHARE_WORKER, "worker")
            await store.create(submission(1, session_id="mine"))
            now = await store.clock()
            (change,) = await worker_writes.claim(connection, "worker", worker.epoch, 1, now, store.policy, 1)
            assert await store.session_events("mine", "", 10) == []  # the older transaction is still open
        assert change.event.generation == 2

        found = await store.session_events("mine", "", 10)

    assert [event.event.generation for event in found] == [1, 2]
    assert await store.session_events("mine", found[0].cursor, 10) == [found[1]]
    await store.close()
