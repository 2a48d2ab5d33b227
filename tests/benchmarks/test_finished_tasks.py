"""Stores that are filled for a measurement: as if a task manager had been at it all the time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.harness.bench import Bench
from benchmarks.harness.copied_tasks import Execute
from benchmarks.harness.environments import Environments
from benchmarks.harness.finished_tasks import PostgresStores, SQLiteStores

from ..postgres_server import PostgresServer

#: What belongs to tables of PostgreSQL: indexes, keys and checks, triggers.
PARTS = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'outlast'
    UNION ALL SELECT conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'outlast'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger ORDER BY 1
"""
#: Tasks that have all the events that they count, the last of them when they ended.
WHOLE = """
    SELECT count(*) FROM {0}tasks AS tasks
     WHERE state = 3 AND generation = (SELECT count(*) FROM {0}events AS events WHERE events.task_id = tasks.task_id)
       AND updated_at = (SELECT max(at) FROM {0}events AS events WHERE events.task_id = tasks.task_id)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a run of what the development environment has."""
    return Bench(Environments(None), tmp_path, 1, smoke=True)


def _look(execute: Execute, schema: str, parts: str) -> tuple[Sequence[object], int]:
    ((whole,),) = execute(WHOLE.format(schema))
    assert isinstance(whole, int)
    return execute(parts), whole


def test_sqlite(bench: Bench) -> None:
    """A filled file has the schema and the journal of one that was not, is sound, and is gone afterwards."""

    def look(path: Path) -> tuple[Sequence[object], int]:
        with closing(sqlite3.connect(path)) as connection:

            def execute(statement: str) -> Sequence[Sequence[object]]:
                return connection.execute(statement).fetchall()

            assert execute("PRAGMA integrity_check") == [("ok",)]
            assert execute("PRAGMA journal_mode") == [("wal",)]
            return _look(execute, "", "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")

    stores = SQLiteStores(bench)
    with stores.filled(300) as few, stores.filled(1_000) as many:
        paths = [Path(filled.url.removeprefix("sqlite:///")) for filled in (few, many)]
        parts, whole = zip(*map(look, paths), strict=True)
        recorded, _ = look(next(bench.folder.glob("task-manager-*/tasks.db")))

    assert parts == (recorded, recorded)
    assert whole == (300, 1_000)
    assert len(set(many.task_ids)) == 1_000
    assert not any(path.exists() for path in paths)


def test_postgres(bench: Bench, postgres_server: PostgresServer) -> None:
    """A filled database has the keys, checks, indexes and triggers of one that was not, and is gone afterwards."""
    postgres_server.start()

    def databases() -> set[object]:
        return {name for (name,) in postgres_server.execute("SELECT datname FROM pg_database")}

    before = databases()
    stores = PostgresStores(bench, postgres_server)
    (recorded,) = databases() - before

    def look(database: object) -> tuple[Sequence[object], int]:
        return _look(lambda statement: postgres_server.execute(statement, str(database)), "outlast.", PARTS)

    with stores.filled(1_000) as filled:
        parts, whole = look(filled.url.rpartition("/")[2])

    assert (parts, whole) == (look(recorded)[0], 1_000)
    assert databases() - before == {recorded}
    postgres_server.drop_database(str(recorded))
