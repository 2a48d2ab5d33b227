"""Leases that are renewed on PostgreSQL while somebody else is at the same workers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from outlast.core.worker import Renewal
from outlastd.stores import postgres_statements as statements
from outlastd.stores import postgres_worker_writes as worker_writes
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.postgres_connecting import first_connection

from .making import register

TTL = timedelta(minutes=1) // timedelta(microseconds=1)
#: A plan that finds the workers in the order in which their rows lie in the table, where the statement lets it.
AS_THEY_LIE = "SET enable_nestloop = off; SET enable_hashjoin = on; SET enable_seqscan = on"
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)"


async def test_renewals_that_meet(postgres_url: str) -> None:
    """A renewal that waits for one worker's row holds none that come later, so two never wait for each other."""
    store = await PostgresTaskStore.open(postgres_url)
    workers = [await register(store, worker_id) for worker_id in ("c", "b", "a")]  # not as their names are ordered
    renewals = [Renewal(worker.worker_id, worker.epoch) for worker in workers]
    async with first_connection(postgres_url) as connection, first_connection(postgres_url) as renewer:
        await renewer.execute(AS_THEY_LIE)
        pid = await renewer.fetchval("SELECT pg_backend_pid()")
        async with connection.transaction():
            await connection.fetchrow(statements.LOCK_WORKER, "a")
            renewing = asyncio.create_task(worker_writes.renew(renewer, renewals, None, TTL))
            while not await connection.fetchval(WAITS, pid):
                assert not renewing.done()
            for later in ("b", "c"):
                await connection.fetchrow(f"{statements.LOCK_WORKER} NOWAIT", later)

        assert await renewing == {"a", "b", "c"}
    await store.close()
