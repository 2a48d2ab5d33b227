"""A file that older code has made, and older code that goes on writing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from outlast.core.errors import StartRefused
from outlast.core.event import Change
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlastd.stores.migrations import load_migrations, missing
from outlastd.stores.port import TaskFilter, TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.stores.sqlite_migrations import APPLICATION_ID

from .clock import FakeClock
from .conftest import Backend
from .making import CHUNK, DONE, operations, register, submission

MICROSECONDS = 1_763_712_000_000_000
CREATED = datetime(2025, 11, 21, 8, 0, tzinfo=UTC)
#: The statements of the code that knew schema 1, as it was.
INSERT_WORKER = (
    "INSERT INTO workers (worker_id, agent, epoch, applied_sequence, lock_path, registered_at)"
    " VALUES (?, 'agent', ?, 0, ?, 0)"
)
INSERT_TASK = (
    "INSERT INTO tasks (task_id, task_type, agent, session_id, request_id, created_by_worker, created_by_sequence,"
    " max_attempts, labels, traceparent, tracestate, idempotency_key, timeout, created_at, metadata, input,"
    " state, state_reason, worker_id, epoch, attempt, generation, progress_fraction, progress_message, progress_at,"
    " error_code, error_message, error_type, updated_at, cancel_requested_at, expires_at, started_at, ended_at, result)"
    " VALUES (?, 'research', 'agent', ?, '', '', 0, 1, NULL, '', '', ?, NULL, ?, NULL, X'7B7D',"
    " ?, '', ?, 1, 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL)"
)
INSERT_EVENT = (
    "INSERT INTO events (task_id, generation, kind, at, state, state_reason, attempt, progress_fraction,"
    " progress_message, progress_at, error_code, error_message, error_type, output)"
    " VALUES (?, ?, 1, ?, 2, '', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
)
GET_HOLDERS = (
    "SELECT worker_id, agent, epoch, applied_sequence, lock_path FROM workers WHERE worker_id IN"
    " (SELECT worker_id FROM tasks INDEXED BY tasks_held WHERE state IN (2, 6, 8)) ORDER BY epoch"
)


@pytest.fixture
def old(database: Path) -> Path:
    """Return a file of schema 1 with a worker of each kind and four tasks, two of them of a session."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(load_migrations("sqlite")[0].sql)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("UPDATE counters SET value = 2 WHERE name = 'epoch'")
        connection.execute(INSERT_WORKER, ("with lock", 1, "/run/worker.lock"))
        connection.execute(INSERT_WORKER, ("without", 2, ""))
        for task_id, session_id, key, state in [(1, "s", "", 2), (2, "", "", 2), (3, "s", "once", 1), (4, "", "", 5)]:
            worker_id = "" if state == 1 else "with lock"
            connection.execute(INSERT_TASK, (task_id, session_id, key, MICROSECONDS, state, worker_id))
            connection.execute(INSERT_EVENT, (task_id, 1, MICROSECONDS + 10 - task_id))
        connection.commit()
    return database


async def test_old_file(old: Path, sqlite: Backend, clock: FakeClock) -> None:
    """Everything of a file of schema 1 is there after it is opened, and goes on."""
    clock.time = CREATED + timedelta(hours=1)
    store = await sqlite.open()

    task = await store.get(1)
    assert (task.state, task.worker_id, task.input, task.created_at) == (
        TaskState.WORKING,
        "with lock",
        b"{}",
        CREATED,
    )
    assert (task.manual, task.backoff, task.next_attempt_at) == (False, None, None)
    assert [event.generation for event in await store.events(1, 0, 10)] == [1]
    assert [event.event.task_id for event in await store.session_events("s", "", 10)] == [3, 1]
    assert not (await store.apply("with lock", operations(1, CHUNK, DONE))).refusals
    assert [event.event.task_id for event in await store.session_events("s", "", 10)] == [3, 1, 1, 1]
    again = await store.create(submission(9, session_id="s", input=b"{}", idempotency_key="once"))
    assert isinstance(again, Task)
    assert again.task_id == 3
    await store.delete(4)
    assert (await register(store, "next")).epoch == 3


async def test_workers_of_an_old_file(old: Path) -> None:
    """Its workers live: one without a lock file for a minute, one with for as long as the file says so."""
    store = await SQLiteTaskStore.open(old)
    try:
        with_lock, without = await store.living_workers()

        assert without.lease_until is not None
        assert timedelta() < without.lease_until - await store.clock() <= timedelta(minutes=1)
        assert with_lock.lease_until is not None
        assert with_lock.lease_until.year == 9999
        assert await store.expire_workers(frozenset()) == []
        lost = await store.lose_worker("with lock", 1, "gone")
        assert sorted(change.task.task_id for change in lost) == [1, 2]
    finally:
        await store.close()


async def test_older_code_goes_on(database: Path, sqlite: Backend, clock: FakeClock) -> None:
    """Code of schema 1 that has the file open goes on; what it writes has its place among the session's events."""
    store = await sqlite.open()
    await store.create(submission(1, session_id="s"))

    with closing(sqlite3.connect(database)) as older, older:
        older.execute(INSERT_WORKER, ("older", 7, "/run/worker.lock"))
        older.execute(INSERT_TASK, (2, "s", "", MICROSECONDS, 2, "older"))
        older.execute(INSERT_EVENT, (2, 1, MICROSECONDS))
        older.execute(INSERT_EVENT, (2, 2, MICROSECONDS))
        older.execute("UPDATE workers SET applied_sequence = 2 WHERE worker_id = 'older'")
        assert [row[0] for row in older.execute(GET_HOLDERS)] == ["older"]
    await store.create(submission(3, session_id="s"))

    events = [found.event for found in await store.session_events("s", "", 10)]
    assert [(event.task_id, event.generation) for event in events] == [(1, 1), (2, 1), (2, 2), (3, 1)]
    (worker,) = await store.living_workers()
    assert (worker.worker_id, worker.applied_sequence) == ("older", 2)
    assert (await store.get(2)).state is TaskState.WORKING
    with closing(sqlite3.connect(database)) as older, pytest.raises(sqlite3.IntegrityError, match="never changes"):
        older.execute("UPDATE events SET attempt = 2 WHERE task_id = 2")


async def test_ended_tasks_of_an_old_file(old: Path, clock: FakeClock) -> None:
    """A task that had ended before the file was brought to this schema is kept for 7 days from then."""
    clock.time = datetime.now(UTC)
    store = await SQLiteTaskStore.open(old, now=lambda: clock.time)
    try:
        expires_at = (await store.get(4)).expires_at
        assert expires_at is not None
        assert abs(expires_at - clock.time - timedelta(days=7)) < timedelta(minutes=5)
        assert (await store.get(1)).expires_at is None

        clock.time = expires_at
        assert await store.delete_expired(10) == 1
        assert {task.task_id for task in await store.list(TaskFilter(), 10)} == {1, 2, 3}
    finally:
        await store.close()


async def test_times_that_older_code_leaves_behind(database: Path, sqlite: Backend, clock: FakeClock) -> None:
    """A task that older code has moved on has not waited too long, and is not in the way of one that has."""
    store = await sqlite.open()
    for task_id in (1, 2, 3):
        await store.create(submission(task_id, queue_timeout=timedelta(seconds=task_id)))
    with closing(sqlite3.connect(database)) as older, older:
        older.execute("UPDATE tasks SET state = 2, worker_id = 'older', attempt = 1 WHERE task_id = 1")
        older.execute("UPDATE tasks SET state = 5 WHERE task_id = 2")
    clock.move(10)

    (change,) = await store.end_overdue(1)

    assert (change.task.task_id, change.task.state_reason) == (3, "QUEUE_TIMEOUT")
    assert await store.end_overdue(1) == []


async def test_newer_schema_that_is_compatible(database: Path, sqlite: Backend) -> None:
    """A file of a newer outlast that says that this one can still work on it is used, and its schema stays."""
    store: TaskStore = await sqlite.open()
    await store.create(submission(1))
    await store.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
        connection.execute("UPDATE counters SET value = 2 WHERE name = 'compatible_from'")

    store = await sqlite.open()

    assert isinstance(await store.create(submission(2)), Change)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_migrations(dialect: str) -> None:
    """Migrations count from 1, and none says that it is compatible with more than was there before it."""
    migrations = load_migrations(dialect)

    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    for migration in migrations:
        assert 1 <= migration.compatible_from <= migration.number


def test_missing_migrations() -> None:
    """A database gets what it lacks; one that this code is too old for is refused with both numbers."""
    migrations = load_migrations("sqlite")

    assert missing(migrations, 0, 0, "the store") == migrations
    assert missing(migrations, 1, 1, "the store") == migrations[1:]
    assert missing(migrations, 99, len(migrations), "the store") == []
    with pytest.raises(StartRefused, match=f"schema 99, this one knows {len(migrations)}"):
        missing(migrations, 99, len(migrations) + 1, "the store")
