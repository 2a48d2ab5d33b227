"""What is measured of a store, on every store."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from outlast.core.errors import StoreUnavailable, TaskNotFound
from outlastd.stores import database
from outlastd.stores.postgres_writing import Stale
from outlastd.stores.sqlite import SQLiteTaskStore

from ..metered import Series, metered
from .conftest import Backend
from .making import DONE, START, operations, register, start_tasks

TRANSACTIONS = "outlast.store.transaction.duration"
WAITS, COUNT, LIMIT, PENDING = (
    f"db.client.connection.{name}" for name in ("wait_time", "count", "max", "pending_requests")
)


def without(values: dict[Series, float], attribute: str) -> dict[Series, float]:
    """Return values without one of their attributes; those that are alike then are added up."""
    left: dict[Series, float] = {}
    for series, value in values.items():
        key = tuple(pair for pair in series if pair[0] != attribute)
        left[key] = left.get(key, 0) + value
    return left


async def test_transactions(backend: Backend) -> None:
    """Each transaction is measured, by what it is for; that there is no such task is an answer and no failure."""
    with metered() as figures:
        store = await backend.open()
        await start_tasks(store, "worker", [1])
        await store.get(1)
        with pytest.raises(TaskNotFound):
            await store.get(2)

        transactions = without(figures.values(TRANSACTIONS), "db.system.name")

    assert transactions == {(("access", "read"),): 2, (("access", "write"),): 2}


async def test_connections(backend: Backend) -> None:
    """Connections are shown by what they are at, with what waits for one and how long that took, until the end."""
    with metered() as figures:
        store = await backend.open()
        await start_tasks(store, "worker", [1])
        await asyncio.gather(*(store.get(1) for _ in range(40)))

        assert sum(figures.values(WAITS).values()) == 42
        limit = sum(figures.values(LIMIT).values())
        states = without(figures.values(COUNT), "db.client.connection.pool.name")
        assert 2 <= sum(states.values()) <= limit
        assert not states[("db.client.connection.state", "used"),]
        assert set(figures.values(PENDING).values()) == {0}
        await store.close()

        assert not figures.values(COUNT)


async def test_metrics_off(backend: Backend) -> None:
    """A store that was opened without metrics measures nothing, whatever is switched on later."""
    store = await backend.open()
    with metered() as figures:
        await start_tasks(store, "worker", [1])

        assert not figures.metrics()


async def test_retries(postgres: Backend) -> None:
    """A transaction that others were in the way of fails by name, and the one after it succeeds."""
    with metered() as figures:
        store, other = await postgres.open(), await postgres.open()
        await start_tasks(store, "worker", [1])
        await other.apply("worker", operations(1, DONE, first=2))

        await store.apply("worker", operations(2, START, first=3))

        failed = [
            value for series, value in figures.values(TRANSACTIONS).items() if ("error.type", Stale.__name__) in series
        ]
    assert failed == [1]


async def test_busy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process holds shows as SQLite's own name for it."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.0)
    with metered() as figures:
        store = await SQLiteTaskStore.open(tmp_path / "outlast.db")
        with closing(sqlite3.connect(tmp_path / "outlast.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await register(store, "worker")
        await store.close()

        assert figures.values(TRANSACTIONS) == {
            (("access", "write"), ("db.system.name", "sqlite"), ("error.type", "SQLITE_BUSY")): 1
        }
