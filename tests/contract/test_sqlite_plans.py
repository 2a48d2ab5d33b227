"""Lists stay quick however many tasks there are: every page is read from an index, in its order."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from outlast.core.state import TaskState
from outlastd.stores import reads, statements
from outlastd.stores.database import connect_to_write
from outlastd.stores.port import Position, TaskFilter

SOME = (frozenset[TaskState](), frozenset({TaskState.FAILED}), frozenset({TaskState.FAILED, TaskState.CANCELED}))
AFTER = (None, Position(datetime(2026, 11, 21, tzinfo=UTC), 7))


def plan(connection: sqlite3.Connection, query: str) -> str:
    """Return how SQLite would answer a query."""
    values = [None] * query.count("?")
    return "\n".join(step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}", values))


@pytest.mark.parametrize(("states", "session_id", "agent", "after"), [*product(SOME, ("", "s"), ("", "a"), AFTER)])
def test_page(
    database: Path, states: frozenset[TaskState], session_id: str, agent: str, after: Position | None
) -> None:
    """No page sorts, and none reads the table but through the index of its most telling filter."""
    asked: list[str] = []
    with closing(connect_to_write(database)) as connection:
        connection.set_trace_callback(asked.append)
        reads.list_tasks(connection, TaskFilter(states, session_id, agent), 10, after, False)
        connection.set_trace_callback(None)

        steps = plan(connection, asked[0])

    assert "TEMP B-TREE" not in steps
    by = "session" if session_id else "state" if states else "agent" if agent else "creation"
    assert f"tasks_by_{by}" in steps


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (statements.GET_TASKS, "INTEGER PRIMARY KEY"),
        (statements.GET_BASIC_TASKS, "INTEGER PRIMARY KEY"),
        (statements.GET_HELD, "INDEX tasks_held (worker_id=?)"),
        (statements.GET_HELD, "tasks_held_waiting"),
        (statements.GET_BASIC_HELD, "INDEX tasks_held (worker_id=?)"),
        (statements.GET_BASIC_HELD, "tasks_held_waiting"),
        (statements.GET_CLAIMABLE, "COVERING INDEX tasks_claimable"),
        (statements.COUNT_BACKLOG, "COVERING INDEX tasks_claimable"),
        (statements.GET_OVERDUE, "tasks_by_queue_until"),
        (statements.GET_OVERDUE, "tasks_by_cancel_until"),
        (statements.GET_CANCEL_REQUESTS, "tasks_cancel_requested"),
        (statements.GET_CENSUS, "INDEX tasks_by_state (state=?)"),
        (statements.GET_BY_KEY, "sqlite_autoindex_idempotency_keys"),
        (statements.DELETE_EXPIRED_TASKS, "tasks_by_expiry"),
        (statements.DELETE_EXPIRED_KEYS, "idempotency_keys_by_expiry"),
        (statements.DELETE_LOST_WORKERS, "workers_lost"),
        (statements.GET_LIVING_WORKERS, "workers_by_lease"),
        (statements.GET_LIVING_WORKERS_OF, "workers_by_agent"),
        (statements.GET_EXPIRED_WORKERS, "workers_by_lease"),
        (statements.GET_EVENTS, "SEARCH events USING PRIMARY KEY"),
        (statements.GET_MOVES, "SEARCH events USING PRIMARY KEY"),
        (statements.GET_SESSION_EVENTS, "events_by_session"),
        (statements.GET_OUTBOX, "span_outbox_by_claim"),
    ],
)
def test_statement(database: Path, query: str, index: str) -> None:
    """The other statements use the index that is meant for them."""
    with closing(connect_to_write(database)) as connection:
        assert index in plan(connection, query)
