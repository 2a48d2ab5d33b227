"""A database that was made before there were sessions gets them, while the code that made it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from outlast.core.policy import DEFAULT_POLICY
from outlast.core.session import SessionKey
from outlastd.stores import postgres_migrations, sqlite_migrations
from outlastd.stores.migrations import Migration, load_migrations
from outlastd.stores.opening import open_store
from outlastd.stores.port import TaskStore

from .making import CHUNK, DONE, START, operations, register, submission

KEY = SessionKey("agent", "s" * 33)


class Upgraded:
    """A database that is opened by the code before there were sessions, and by this one."""

    def __init__(self, url: str, path: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self._url = url
        self._path = path
        self._monkeypatch = monkeypatch
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Upgraded:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def open(self, *, older: bool) -> TaskStore:
        """Open a store on it."""
        with self._monkeypatch.context() as patched:
            for migrations in (postgres_migrations, sqlite_migrations):
                patched.setattr(migrations, "load_migrations", _before_sessions if older else _all)
            store = await open_store(self._url, self._path, DEFAULT_POLICY)
        self._opened.push_async_callback(store.close)
        return store


def _before_sessions(dialect: str) -> Sequence[Migration]:
    return _all(dialect)[: {"sqlite": 2, "postgresql": 1}[dialect]]


def _all(dialect: str) -> Sequence[Migration]:
    """Return the migrations, on PostgreSQL with the types of rows from the first: the code that is tested needs them,
    other than the code that there was before sessions."""
    migrations = load_migrations(dialect)
    if dialect == "sqlite":
        return migrations
    tasks, sessions, rows, *others = migrations
    return [replace(tasks, sql=tasks.sql + rows.sql), sessions, replace(rows, sql="SELECT"), *others]


@pytest.fixture(params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, database: Path, monkeypatch: pytest.MonkeyPatch) -> Upgraded:
    """Return an empty database of each kind."""
    path = database if request.param == "sqlite" else None
    return Upgraded("" if path else str(request.getfixturevalue("postgres_url")), path, monkeypatch)


async def test_upgrade(upgraded: Upgraded) -> None:
    """What was there stays, sessions can begin, and code from before goes on with its tasks on the same database."""
    async with upgraded:
        older = await upgraded.open(older=True)
        worker = await register(older, "worker")
        await older.apply("worker", operations(1, START))
        await older.create(submission(2, session_id=KEY.session_id))
        before = [await older.get(task_id) for task_id in (1, 2)]

        store = await upgraded.open(older=False)
        assert before == [await store.get(task_id) for task_id in (1, 2)]
        session = await store.sessions.begin(KEY, "host")
        assert session.epoch > worker.epoch
        await older.apply("worker", operations(1, CHUNK, DONE, first=2))
        assert (await register(older, "next")).epoch > session.epoch
        assert [event.generation for event in await store.events(1, 0, 10)] == [1, 2, 3]
        assert await store.sessions.active_tasks([KEY]) == {KEY: 1}

        await (await upgraded.open(older=True)).delete(1)
