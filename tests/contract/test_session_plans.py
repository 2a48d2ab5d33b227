"""Every question about sessions is answered from an index, however many there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from outlast.core.session import SessionKey, SessionState
from outlastd.stores import postgres_sessions, postgres_statements, sqlite_sessions, statements
from outlastd.stores.database import connect_to_write
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.postgres_connecting import connect
from outlastd.stores.session_port import SessionFilter, SessionPosition

from .test_postgres_plans import plan as postgres_plan
from .test_sqlite_plans import plan as sqlite_plan

SOME_STATES = (
    frozenset[SessionState](),
    frozenset({SessionState.STARTING, SessionState.RUNNING}),
    frozenset({SessionState.STOPPED}),
)
FILTERS = [
    SessionFilter(states, agent, user, prefix)
    for states, agent, user, prefix in product(SOME_STATES, ("", "a"), ("", "u"), ("", "p"))
]
AFTER = (None, SessionPosition(datetime(2026, 11, 21, tzinfo=UTC), SessionKey("agent", "id")))

#: What was made in one microsecond is sorted (an incremental sort), and no more.
SORTS = re.compile(r"(?<!Incremental )Sort  \(")
#: The index is read from where the page begins.
BEGINS = re.compile(r"Index Cond: .*(ROW\(|created_at <=)")
#: 20,000 sessions of 10 agents, half of them bound to 200 users; one in a hundred lives.
FILL = """
    INSERT INTO sessions (digest, agent, session_id, principal, user_id, created_at, state, host, epoch, run,
                          started_at, ended_at, end_message)
    SELECT n::text::bytea, 'agent-' || n % 10, 'session-' || n, '',
           CASE WHEN n % 2 = 0 THEN 'user-' || n % 200 ELSE '' END, n, CASE WHEN n % 100 = 0 THEN 2 ELSE 4 END,
           'host', n, 1, n, CASE WHEN n % 100 > 0 THEN n END, ''
      FROM generate_series(1, 20000) AS n;
    INSERT INTO tasks (task_id, task_type, agent, state, state_reason, session_id, request_id, worker_id, epoch,
                       created_by_worker, created_by_sequence, attempt, max_attempts, generation, traceparent,
                       tracestate, idempotency_key, manual, created_at, updated_at)
    SELECT n, 'type', 'agent-' || n % 10, 3, '', 'session-' || n % 200, '', '', 1,
           '', 1, 1, 1, 1, '', '', '', false, n, n
      FROM generate_series(1, 20000) AS n;
    ANALYZE;
"""
POSTGRES_INDEXES = {
    postgres_statements.GET_SESSION: ["sessions_pkey"],
    postgres_statements.GET_SESSION_TO_BEGIN: ["sessions_pkey"],
    postgres_statements.UPDATE_SESSIONS: ["sessions_pkey"],
    postgres_statements.LOCK_LIVING_SESSIONS: ["sessions_living"],
    postgres_statements.COUNT_ACTIVE_TASKS: ["tasks_by_session"],
    postgres_statements.DELETE_ENDED_SESSIONS: ["sessions_by_end", "tasks_by_session", "sessions_pkey"],
}


def index_of(which: SessionFilter) -> str:
    """Return the index that a page is read from."""
    if which.states and SessionState.STOPPED not in which.states:
        return "sessions_living"
    return f"sessions_by_{'user' if which.user else 'agent' if which.agent else 'creation'}"


def test_pages_of_sqlite(database: Path) -> None:
    """No page sorts but that of sessions that live, and each is read from its index up to where it begins."""
    with closing(connect_to_write(database)) as connection:
        for which, after in product(FILTERS, AFTER):
            steps = sqlite_plan(connection, sqlite_sessions.page(which, 10, after)[0])

            index = index_of(which)
            assert index in steps, steps
            if index != "sessions_living":
                assert "TEMP B-TREE" not in steps, steps
                assert "SEARCH" in steps or (index == "sessions_by_creation" and after is None), steps


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (statements.GET_SESSION, ["SEARCH sessions USING PRIMARY KEY (agent=? AND session_id=?)"]),
        (statements.UPDATE_SESSION, ["SEARCH sessions USING PRIMARY KEY (agent=? AND session_id=?)"]),
        (statements.GET_LIVING_SESSIONS, ["sessions_living (host=?)"]),
        (statements.COUNT_ACTIVE_TASKS, ["tasks_by_session (session_id=?)"]),
        (
            statements.DELETE_ENDED_SESSIONS,
            ["sessions_by_end (ended_at<?)", "tasks_by_session (session_id=?)", "SEARCH sessions USING PRIMARY KEY"],
        ),
    ],
)
def test_statement_of_sqlite(database: Path, query: str, indexes: Sequence[str]) -> None:
    """The other statements use the indexes that are meant for them."""
    with closing(connect_to_write(database)) as connection:
        steps = sqlite_plan(connection, query)

    for index in indexes:
        assert index in steps, steps


@pytest.mark.parametrize("filled", [False, True])
async def test_postgres(postgres_url: str, filled: bool) -> None:
    """The same holds on PostgreSQL, for tables that are full and known to be, or that were empty when asked."""
    await (await PostgresTaskStore.open(postgres_url)).close()
    connection = await connect(postgres_url)
    try:
        if filled:
            await connection.execute(FILL)
        for which, after in product(FILTERS, AFTER):
            steps = await postgres_plan(connection, postgres_sessions.page(which, 10, after)[0])

            index = index_of(which)
            assert index in steps, steps
            assert "Seq Scan" not in steps, steps
            if index != "sessions_living":
                # Where there are none yet, one is expected, and may as well be sorted.
                assert not (filled and SORTS.search(steps)), steps
                assert after is None or BEGINS.search(steps), steps
        for query, indexes in POSTGRES_INDEXES.items():
            steps = await postgres_plan(connection, query)

            assert "Seq Scan" not in steps, steps
            for index in indexes:
                assert index in steps, steps
    finally:
        await connection.close()
