"""Terminal is final: nothing changes a task that has ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from outlast.core.errors import IllegalTransition
from outlast.core.operation import Finish
from outlast.core.state import TERMINAL, StateReason, TaskState
from outlastd.stores.port import TaskStore

from .making import CHUNK, DONE, FAILED, HALF, START, operations, start_tasks


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_ended_task_stays(store: TaskStore, state: TaskState) -> None:
    """No operation, no cancel and no loss of its worker touches a task that has ended."""
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, Finish(state), first=2))
    before = await store.get(7), await store.events(7, 0, 100)
    assert state is before[0].state

    applied = await store.apply("worker", operations(7, START, HALF, CHUNK, DONE, FAILED, first=3))
    with pytest.raises(IllegalTransition):
        await store.request_cancel(7)
    lost = await store.lose_worker("worker", StateReason.WORKER_LOST, "gone")

    assert list(applied.refusals) == [3, 4, 5, 6, 7]
    assert not applied.changes
    assert not lost
    assert before == (await store.get(7), await store.events(7, 0, 100))


async def test_first_end_wins(store: TaskStore) -> None:
    """Of two ends in one batch the second is refused."""
    await start_tasks(store, "worker", [7])

    applied = await store.apply("worker", operations(7, FAILED, DONE, first=2))

    assert list(applied.refusals) == [3]
    assert TaskState.FAILED is (await store.get(7)).state


@pytest.mark.parametrize(
    "change", ["UPDATE tasks SET state = 2", "UPDATE tasks SET result = 'x'", "UPDATE OR REPLACE tasks SET epoch = 9"]
)
async def test_database_refuses_to_change_an_ended_task(store: TaskStore, database: Path, change: str) -> None:
    """SQLite itself refuses to change a terminal task, whoever asks."""
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, DONE, first=2))
    before = await store.get(7)

    with pytest.raises(sqlite3.IntegrityError, match="a terminal task never changes"):
        _execute(database, change)

    assert before == await store.get(7)


async def test_database_refuses_to_change_an_event(store: TaskStore, database: Path) -> None:
    """SQLite itself refuses to change an event."""
    await start_tasks(store, "worker", [7])

    with pytest.raises(sqlite3.IntegrityError, match="an event never changes"):
        _execute(database, "UPDATE events SET attempt = 2")


async def test_database_lets_an_ended_task_go(store: TaskStore, database: Path) -> None:
    """A terminal task may be deleted, and its events go with it."""
    await start_tasks(store, "worker", [7])
    await store.apply("worker", operations(7, DONE, first=2))

    _execute(database, "DELETE FROM tasks")

    assert _execute(database, "SELECT count(*) FROM events") == [(0,)]


def _execute(database: Path, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection that is not the store's."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        return connection.execute(statement).fetchall()
