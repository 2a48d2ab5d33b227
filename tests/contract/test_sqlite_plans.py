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
    return "\n".join(step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}"))


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
        (statements.GET_HELD, "tasks_held"),
        (statements.GET_HOLDERS, "tasks_held"),
        (statements.GET_BY_IDEMPOTENCY_KEY, "tasks_by_idempotency_key"),
        (statements.GET_EVENTS, "SEARCH events USING PRIMARY KEY"),
    ],
)
def test_statement(database: Path, query: str, index: str) -> None:
    """The other statements use the index that is meant for them."""
    with closing(connect_to_write(database)) as connection:
        values = ("NULL" for _ in range(query.count("?")))
        assert index in plan(connection, "".join(part + next(values, "") for part in query.split("?")))
