"""Every question is answered from an index, however many tasks there are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product

import asyncpg
import pytest

from outlast.core.state import TaskState
from outlastd.stores import postgres_reads as reads
from outlastd.stores import postgres_statements as statements
from outlastd.stores.port import Position, TaskFilter
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.postgres_connecting import connect
from outlastd.stores.postgres_rows import ROW_TYPES
from outlastd.stores.postgres_writing import _statement

NO_STATE = frozenset[TaskState]()
SOME = (NO_STATE, frozenset({TaskState.FAILED}), frozenset({TaskState.FAILED, TaskState.CANCELED}))
AFTER = (None, Position(datetime(2026, 11, 21, tzinfo=UTC), 7))

SORTS = re.compile(r"\bSort  \(")

INDEXES: Mapping[str, Sequence[str]] = {
    statements.GET_TASKS: ["tasks_pkey"],
    statements.GET_HELD: ["tasks_held", "workers_pkey"],
    statements.GET_BASIC_HELD: ["tasks_held", "workers_pkey"],
    statements.LOCK_HELD: ["tasks_held"],
    statements.LOCK_CLAIMABLE: ["tasks_claimable"],
    statements.GET_CLAIMABLE: ["tasks_claimable", "workers_pkey"],
    statements.LOCK_OVERDUE: ["tasks_by_queue_until", "tasks_by_cancel_until", "tasks_pkey"],
    statements.GET_CANCEL_REQUESTS: ["tasks_cancel_requested"],
    statements.GET_CENSUS: ["tasks_by_state"],
    statements.GET_ROOM: ["tasks_pkey", "tasks_claimable", "workers_by_agent"],
    statements.GET_BY_KEY: ["tasks_pkey", "idempotency_keys_pkey"],
    statements.DELETE_TASK: ["tasks_pkey"],
    statements.DELETE_EXPIRED_TASKS: ["tasks_by_expiry", "tasks_pkey"],
    statements.DELETE_EXPIRED_KEYS: ["idempotency_keys_by_expiry", "idempotency_keys_pkey"],
    statements.GET_EVENTS: ["events_pkey", "tasks_pkey"],
    statements.GET_BASIC_TASKS: ["tasks_pkey"],
    statements.GET_MOVES: ["events_pkey"],
    statements.GET_SESSION_EVENTS: ["events_by_session", "tasks_pkey"],
    statements.CLAIM_OUTBOX: ["span_outbox_by_claim", "span_outbox_pkey"],
    statements.GET_WORKER: ["workers_pkey"],
    statements.RENEW_LEASES: ["workers_pkey"],
    _statement("wait", True, True, True, True, True, True, False): ["workers_pkey", "tasks_pkey"],
    _statement("share", False, True, False, True, False, False, True): ["workers_pkey", "tasks_pkey"],
    _statement("skip", True, True, True, True, True, True, True): ["workers_pkey", "tasks_pkey"],
}

#: 20,000 tasks of 10 agents, 200 sessions and 100 workers; a few wait, run, or are due for something.
FILL = """
    INSERT INTO tasks (task_id, task_type, agent, state, state_reason, session_id, request_id, worker_id, epoch,
                       created_by_worker, created_by_sequence, attempt, max_attempts, generation, traceparent,
                       tracestate, idempotency_key, manual, created_at, updated_at, cancel_requested_at, expires_at,
                       queue_until, cancel_until)
    SELECT n, 'type', 'agent-' || n % 10, state, '', CASE WHEN n % 2 = 0 THEN 'session-' || n % 200 ELSE '' END, '',
           CASE WHEN state = 1 THEN '' ELSE 'worker-' || n % 100 END, 1, '', 1, 1, 1, 1, '', '', '', false, n, n,
           CASE WHEN state = 2 AND n % 3 = 0 THEN 1 END, CASE WHEN state > 2 THEN n END,
           CASE WHEN state = 1 THEN n END, CASE WHEN state = 2 AND n % 3 = 0 THEN n END
      FROM (SELECT n, CASE n % 100 WHEN 0 THEN 1 WHEN 1 THEN 2 WHEN 3 THEN 4 WHEN 4 THEN 5 ELSE 3 END AS state
              FROM generate_series(1, 20000) AS n) AS numbers;
    INSERT INTO events (task_id, generation, session_key, kind, at, state, state_reason, attempt)
    SELECT task_id, number, session_key, 1, 1, 1, '', 1 FROM tasks, generate_series(1, 3) AS numbers (number);
    INSERT INTO workers (worker_id, agent, epoch, applied_sequence, lost_sequence, lock_path, session_id, task_types,
                         draining, registered_at)
    SELECT 'worker-' || n, 'agent', n, 0, 0, '', '', '[]', false, 0 FROM generate_series(1, 1000) AS n;
    INSERT INTO idempotency_keys SELECT n::text::bytea, n, n FROM generate_series(1, 1000) AS n;
    INSERT INTO span_outbox SELECT n, n FROM generate_series(1, 1000) AS n;
"""


@pytest.fixture(params=["filled", "empty"])
async def connection(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Return a connection as the store's, to tables that are full and known to be, or that were empty when asked."""
    await (await PostgresTaskStore.open(postgres_url)).close()
    connection = await connect(postgres_url)
    if request.param == "filled":
        await connection.execute(FILL)
        await connection.execute("ANALYZE")
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, query: str) -> str:
    """Return how PostgreSQL answers a query, whatever it is asked: as a generic plan."""
    await connection.execute(f"PREPARE asked AS {query}")
    values = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", query))))
    try:
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked{f'({values})' if values else ''}")
    finally:
        await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


async def test_pages(connection: asyncpg.Connection) -> None:
    """No page of a list sorts, and each is read from an index in its order."""
    for states, session_id, agent, after in product(SOME, ("", "s"), ("", "a"), AFTER):
        query, _ = reads.page(TaskFilter(states, session_id, agent), 10, after, False)

        steps = await plan(connection, query)

        assert "Seq Scan" not in steps, steps
        assert not SORTS.search(steps), steps
        by = "session" if session_id else "state" if states else "agent" if agent else "creation"
        assert f"tasks_by_{by}" in steps, steps


async def test_statements(connection: asyncpg.Connection) -> None:
    """Every statement that is asked often uses the indexes that are meant for it, and reads no table whole."""
    for query, indexes in INDEXES.items():
        steps = await plan(connection, query)

        assert "Seq Scan" not in steps, steps
        for index in indexes:
            assert index in steps, steps


async def test_order(connection: asyncpg.Connection) -> None:
    """What is read in an order, up to a limit, is not sorted first."""
    for query in (statements.LOCK_CLAIMABLE, statements.GET_CLAIMABLE, statements.GET_SESSION_EVENTS):
        steps = await plan(connection, query)

        assert not SORTS.search(steps), steps


async def test_types_of_rows(connection: asyncpg.Connection) -> None:
    """What is written as a type of rows has the type's columns, in their order."""
    for kind, names in ROW_TYPES.items():
        rows = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass ORDER BY attnum", kind
        )

        assert [name for (name,) in rows] == list(names)
