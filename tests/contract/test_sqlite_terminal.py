"""SQLite itself keeps what has ended, whoever writes to the file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Backend
from .making import DONE, operations, start_tasks


@pytest.mark.parametrize(
    "change", ["UPDATE tasks SET state = 2", "UPDATE tasks SET result = 'x'", "UPDATE OR REPLACE tasks SET epoch = 9"]
)
async def test_database_refuses_to_change_an_ended_task(sqlite: Backend, database: Path, change: str) -> None:
    """SQLite itself refuses to change a terminal task, whoever asks."""
    store = await sqlite.open()
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, DONE, first=2))
    before = await store.get(7)

    with pytest.raises(sqlite3.IntegrityError, match="a terminal task never changes"):
        _execute(database, change)

    assert before == await store.get(7)


async def test_database_refuses_to_change_an_event(sqlite: Backend, database: Path) -> None:
    """SQLite itself refuses to change an event."""
    store = await sqlite.open()
    await start_tasks(store, "worker", [7])

    with pytest.raises(sqlite3.IntegrityError, match="an event never changes"):
        _execute(database, "UPDATE events SET attempt = 2")


async def test_database_lets_an_ended_task_go(sqlite: Backend, database: Path) -> None:
    """A terminal task may be deleted, and its events go with it."""
    store = await sqlite.open()
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, DONE, first=2))

    _execute(database, "DELETE FROM tasks")

    assert _execute(database, "SELECT count(*) FROM events") == [(0,)]


def _execute(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection that is not the store's."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        return connection.execute(statement).fetchall()
