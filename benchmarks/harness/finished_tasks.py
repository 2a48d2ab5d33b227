"""Stores full of finished tasks: copies (copied_tasks.py) of some hundred that a task manager has recorded.

Filling is quick where a store that nobody uses may be: nothing is synced, what only watches over writers is put aside,
and PostgreSQL's indexes are made at the end. Afterwards a store is as its schema has it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.bench import Bench
from benchmarks.harness.copied_tasks import ORIGINALS, Dialect, multiply
from benchmarks.harness.load import run_load
from benchmarks.harness.task_managers import start_task_manager
from tests.postgres_server import PostgresServer

#: Bytes on the disk that a task may take while its store is filled, its events, indexes and their sorting included.
_BYTES = {"SQLite": 1_200, "PostgreSQL": 2_500}


@dataclass(frozen=True)
class Filled:
    """A store that is there for a while."""

    url: str
    #: Ids of some of its tasks, from all times.
    task_ids: Sequence[int]


class SQLiteStores:
    """SQLite files, each in a folder of its own."""

    name = "SQLite"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        with start_task_manager(bench) as manager:
            _record(manager.ready().address)
        self._recorded = _path(manager.store)

    @contextmanager
    def filled(self, tasks: int) -> Iterator[Filled]:
        """Make a store of so many, and remove it at the end; raises SystemExit where the disk has no room for it."""
        _see_that_there_is_room(self._bench, self.name, tasks)
        folder = self._bench.new_folder("finished")
        path = folder / "tasks.db"
        shutil.copy(self._recorded, path)
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                ids = self._fill(connection, tasks)
            os.sync()  # what is still to be written would disturb what is measured
            yield Filled(f"sqlite:///{path}", ids)
        finally:
            shutil.rmtree(folder)

    def _fill(self, connection: sqlite3.Connection, tasks: int) -> Sequence[int]:
        def execute(statement: str) -> Sequence[Sequence[object]]:
            return connection.execute(statement).fetchall()

        names = {
            table: [str(row[1]) for row in execute(f"PRAGMA table_info({table})")] for table in ("tasks", "events")
        }
        triggers = execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        ((each,),) = execute("SELECT max(generation) FROM events")
        execute("PRAGMA journal_mode = OFF")
        execute("PRAGMA synchronous = OFF")
        for trigger, _ in triggers:
            execute(f"DROP TRIGGER {trigger}")
        series = """
            (WITH RECURSIVE n (copy) AS (SELECT {} UNION ALL SELECT copy + 1 FROM n WHERE copy < {}) SELECT copy FROM n)
        """
        seq = {"seq": f"copies.copy * {each} + source.generation"}
        ids = multiply(execute, Dialect("", "temp.", names, series, "", seq), tasks, self._bench.say)
        execute(f"UPDATE counters SET value = {tasks} * {each} WHERE name = 'event'")
        for _, definition in triggers:
            execute(str(definition))
        execute("PRAGMA journal_mode = WAL")
        return ids


class PostgresStores:
    """Databases of one server."""

    name = "PostgreSQL"

    def __init__(self, bench: Bench, server: PostgresServer) -> None:
        self._bench = bench
        self._server = server
        self._recorded = server.create_database()
        with start_task_manager(bench, server.url(self._recorded)) as manager:
            _record(manager.ready().address)

    @contextmanager
    def filled(self, tasks: int) -> Iterator[Filled]:
        """Make a store of so many, and remove it at the end; raises SystemExit where the disk has no room for it."""
        _see_that_there_is_room(self._bench, self.name, tasks)
        database = self._server.create_database(self._recorded)
        try:
            yield Filled(self._server.url(database), self._fill(database, tasks))
        finally:
            self._server.drop_database(database)

    def _fill(self, database: str, tasks: int) -> Sequence[int]:
        def execute(statement: str) -> Sequence[Sequence[object]]:
            return self._server.execute(statement, database)

        # What the database makes by itself it makes for the copies too.
        columns = """
            SELECT column_name FROM information_schema.columns
             WHERE table_schema = 'outlast' AND table_name = '{}'
               AND is_generated = 'NEVER' AND is_identity = 'NO' AND data_type <> 'xid8'
        """
        names = {table: [str(name) for (name,) in execute(columns.format(table))] for table in ("tasks", "events")}
        keys = execute("""
            SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
             WHERE contype = 'p' AND conrelid IN ('outlast.tasks'::regclass, 'outlast.events'::regclass)
        """)
        for table, key, _ in keys:
            execute(f"ALTER TABLE {table} DROP CONSTRAINT {key}")
        indexes = execute("""
            SELECT indexname, indexdef FROM pg_indexes
             WHERE schemaname = 'outlast' AND tablename IN ('tasks', 'events')
        """)
        for index, _ in indexes:
            execute(f"DROP INDEX outlast.{index}")
        series, order = "(SELECT generate_series({}::bigint, {}) AS copy)", "ORDER BY copies.copy, source.generation"
        ids = multiply(execute, Dialect("outlast.", "public.", names, series, order, {}), tasks, self._bench.say)
        self._bench.say("their indexes")
        for table, key, definition in keys:
            execute(f"ALTER TABLE {table} ADD CONSTRAINT {key} {definition}")
        for _, definition in indexes:  # all rows at once: a good deal faster
            execute(str(definition))
        for statement in ("VACUUM ANALYZE outlast.tasks", "VACUUM ANALYZE outlast.events", "CHECKPOINT"):
            execute(statement)  # as the database does by itself after a while
        return ids


def _record(address: str) -> None:
    """Have a task manager record the tasks that are copied."""
    run_load("lifecycles", address, "--lifecycles", ORIGINALS, "--workers", 4)


def _path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def _see_that_there_is_room(bench: Bench, store: str, tasks: int) -> None:
    wanted, free = tasks * _BYTES[store], shutil.disk_usage(bench.folder).free
    if wanted > free:
        raise SystemExit(
            f"{tasks:,} tasks on {store} may take {wanted / 1e9:.0f} GB, and {bench.folder} has {free / 1e9:.0f}"
        )
