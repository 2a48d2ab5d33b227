"""Stores full of finished tasks: some hundred that a task manager has recorded, and copies of them.

A copy is a row as the task manager would have written it, with its events: an id made of its time, all its times moved
back by as much, a request of its own. Copies are 10 ms apart, and older than what they were made from.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.bench import Bench
from benchmarks.harness.load import run_load
from benchmarks.harness.task_managers import start_task_manager
from outlast.core.task_id import COUNTER_BITS, EPOCH_MS, WORKER_BITS
from tests.postgres_server import PostgresServer

#: Runs one SQL statement and returns its rows.
Execute = Callable[[str], Sequence[Sequence[object]]]

#: Tasks that are copied.
ORIGINALS = 200
#: Ids that are given to look up.
SAMPLE = 1_000
#: Microseconds from one copy to the next.
_APART = 10_000
#: Microseconds from the last copy to what was recorded: ids are made before a task is recorded, and have to differ.
_BEFORE = 60_000_000
#: Copies that one transaction makes.
_STEP = 50_000
#: Workers that the copies are of, by their ids.
_WORKERS = 16
_TIMES = (
    *("created_at", "updated_at", "started_at", "ended_at", "expires_at", "progress_at", "cancel_requested_at"),
    *("next_attempt_at", "queue_until", "cancel_until", "at"),
)


class SQLiteStores:
    """SQLite files, each in a folder of its own."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        with start_task_manager(bench) as manager:
            _record(manager.ready().address)
        self._recorded = _path(manager.store)

    def fill(self, tasks: int) -> tuple[str, Sequence[int]]:
        """Make a store of so many; return its URL and ids of theirs, from all times."""
        path = self._bench.new_folder("finished") / "tasks.db"
        shutil.copy(self._recorded, path)
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            ids = self._fill(lambda statement: connection.execute(statement).fetchall(), tasks)
        finally:
            connection.close()
        os.sync()  # what is still to be written would disturb what is measured
        return f"sqlite:///{path}", ids

    @staticmethod
    def _fill(execute: Execute, tasks: int) -> Sequence[int]:
        execute("PRAGMA synchronous = OFF")
        names = {
            table: [str(row[1]) for row in execute(f"PRAGMA table_info({table})")] for table in ("tasks", "events")
        }
        ((numbered,),) = execute("SELECT value FROM counters WHERE name = 'event'")
        ((each,),) = execute("SELECT max(generation) FROM events")
        series = """
            (WITH RECURSIVE n (copy) AS (SELECT {} UNION ALL SELECT copy + 1 FROM n WHERE copy < {}) SELECT copy FROM n)
            AS copies"""
        seq = {"seq": f"{numbered} + copies.copy * {each} + source.generation"}
        ids = _multiply(execute, "", "temp.", names, series, tasks, seq)
        execute("UPDATE counters SET value = (SELECT max(seq) FROM events) WHERE name = 'event'")
        execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return ids


class PostgresStores:
    """Databases of one server."""

    def __init__(self, bench: Bench, server: PostgresServer) -> None:
        self._server = server
        self._recorded = server.create_database()
        with start_task_manager(bench, server.url(self._recorded)) as manager:
            _record(manager.ready().address)

    def fill(self, tasks: int) -> tuple[str, Sequence[int]]:
        """Make a store of so many; return its URL and ids of theirs, from all times."""
        database = self._server.create_database(self._recorded)

        def execute(statement: str) -> Sequence[Sequence[object]]:
            return self._server.execute(statement, database)

        # What the database makes by itself it makes for the copies too.
        columns = """
            SELECT column_name FROM information_schema.columns
             WHERE table_schema = 'outlast' AND table_name = '{}'
               AND is_generated = 'NEVER' AND is_identity = 'NO' AND data_type <> 'xid8'
        """
        names = {table: [str(name) for (name,) in execute(columns.format(table))] for table in ("tasks", "events")}
        indexes = execute("""
            SELECT indexname, indexdef FROM pg_indexes
             WHERE schemaname = 'outlast' AND tablename IN ('tasks', 'events') AND indexname NOT LIKE '%_pkey'
        """)
        for index, _ in indexes:
            execute(f"DROP INDEX outlast.{index}")
        ids = _multiply(
            execute, "outlast.", "public.", names, "generate_series({}::bigint, {}) AS copies (copy)", tasks, {}
        )
        for _, definition in indexes:  # all rows at once: a good deal faster
            execute(str(definition))
        for statement in ("VACUUM ANALYZE outlast.tasks", "VACUUM ANALYZE outlast.events", "CHECKPOINT"):
            execute(statement)  # as the database does by itself after a while
        return self._server.url(database), ids


def _record(address: str) -> None:
    """Have a task manager record the tasks that are copied."""
    run_load("lifecycles", address, "--lifecycles", ORIGINALS, "--workers", 4)


def _path(store: str) -> Path:
    return Path(store.removeprefix("sqlite:///"))


def _multiply(
    execute: Execute,
    schema: str,
    scratch: str,
    names: dict[str, list[str]],
    series: str,
    tasks: int,
    columns: dict[str, str],
) -> Sequence[int]:
    """Make copies until there are ``tasks``; return ids of some.

    ``scratch`` is where tables are made that are needed meanwhile, ``names`` are the tables' columns, ``series`` is
    what gives the numbers from one to another, ``columns`` are the values of columns that are no copies.
    """
    ((oldest, count),) = execute(f"SELECT min(created_at), count(*) FROM {schema}tasks WHERE state = 3")
    assert isinstance(oldest, int)
    assert count == ORIGINALS, count
    copies = tasks - ORIGINALS
    begin = oldest - copies * _APART - _BEFORE
    created_at = f"({begin} + copies.copy * {_APART})"
    milliseconds = f"({created_at} / 1000 - {EPOCH_MS})"
    values = {
        "task_id": f"({milliseconds} << {WORKER_BITS + COUNTER_BITS}) + ((copies.copy % {_WORKERS}) << {COUNTER_BITS})",
        "request_id": "'request-' || copies.copy",
        **{name: f"source.{name} + {created_at} - source.made" for name in _TIMES},
        **columns,
    }
    # Apart: among a million others the database would look for them anew each time.
    placed = f"SELECT *, row_number() OVER (ORDER BY task_id) - 1 AS place, created_at AS made FROM {schema}tasks"
    execute(f"CREATE TABLE {scratch}task_sources AS {placed}")
    execute(f"""
        CREATE TABLE {scratch}event_sources AS
        SELECT events.*, place, made FROM {schema}events AS events JOIN {scratch}task_sources USING (task_id)
    """)
    for first in range(0, copies, _STEP):
        numbers = series.format(first, min(first + _STEP, copies) - 1)
        for table, sources, order in (("tasks", "task_sources", "place"), ("events", "event_sources", "generation")):
            execute(f"""
                INSERT INTO {schema}{table} ({", ".join(names[table])})
                SELECT {", ".join(values.get(name, f"source.{name}") for name in names[table])}
                  FROM {numbers} JOIN {scratch}{sources} AS source ON source.place = copies.copy % {ORIGINALS}
                 ORDER BY copies.copy, source.{order}
            """)
    for sources in ("task_sources", "event_sources"):
        execute(f"DROP TABLE {scratch}{sources}")
    ((count,),) = execute(f"SELECT count(*) FROM {schema}tasks")
    assert count == tasks, count
    numbers_of = random.Random(tasks).sample(range(copies), min(SAMPLE, copies))
    return [_id(begin + copy * _APART, copy) for copy in numbers_of]


def _id(created_at: int, copy: int) -> int:
    return (created_at // 1_000 - EPOCH_MS << WORKER_BITS + COUNTER_BITS) + (copy % _WORKERS << COUNTER_BITS)
