"""Every test here runs on every store: ``store`` is one, and ``backend`` opens more on the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol

import pytest
from blockbuster import blockbuster_ctx

from outlast.core.policy import DEFAULT_POLICY, Policy
from outlastd.stores.port import TaskStore
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.sqlite import SQLiteTaskStore

from ..postgres_server import let_asyncpg_connect
from .clock import FakeClock


class Backend(Protocol):
    """A database that stores can be opened on."""

    async def open(self, policy: Policy = DEFAULT_POLICY) -> TaskStore:
        """Open one more store on the database."""
        ...

    async def close(self) -> None:
        """Close all that were opened."""
        ...


class OpenedBackend:
    """A database, and the stores that were opened on it."""

    def __init__(self, open_store: Callable[[Policy], Awaitable[TaskStore]]) -> None:
        self._open = open_store
        self._stores: list[TaskStore] = []

    async def open(self, policy: Policy = DEFAULT_POLICY) -> TaskStore:
        """Open one more store on the database."""
        store = await self._open(policy)
        self._stores.append(store)
        return store

    async def close(self) -> None:
        """Close all that were opened."""
        for store in self._stores:
            await store.close()


def sqlite_backend(path: Path, clock: FakeClock) -> Backend:
    """Return a file that stores can be opened on."""
    return OpenedBackend(lambda policy: SQLiteTaskStore.open(path, policy, clock))


def postgres_backend(url: str, clock: FakeClock) -> Backend:
    """Return a database of PostgreSQL that stores can be opened on."""
    return OpenedBackend(lambda policy: PostgresTaskStore.open(url, policy, clock))


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    import_module("outlast.telemetry.output")  # else the first line that is logged loads it, on the loop
    with blockbuster_ctx("outlastd") as blocking:
        let_asyncpg_connect(blocking)
        blocking.functions["os.write"].can_block_in("outlast/telemetry/output.py", "_write_all")
        yield


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the stores."""
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the file that a SQLite store keeps."""
    return tmp_path / "outlast.db"


@pytest.fixture(params=["sqlite", "postgresql"])
async def backend(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Backend]:
    """Return a database of each kind."""
    if request.param == "sqlite":
        backend = sqlite_backend(request.getfixturevalue("database"), clock)
    else:
        backend = postgres_backend(request.getfixturevalue("used_postgres_url"), clock)
    yield backend
    await backend.close()


@pytest.fixture
async def store(backend: Backend) -> TaskStore:
    """Return a store that is empty."""
    return await backend.open()


@pytest.fixture
async def sqlite(database: Path, clock: FakeClock) -> AsyncIterator[Backend]:
    """Return a file, for what is true of SQLite only."""
    backend = sqlite_backend(database, clock)
    yield backend
    await backend.close()


@pytest.fixture
async def postgres(postgres_url: str, clock: FakeClock) -> AsyncIterator[Backend]:
    """Return a database of PostgreSQL, for what is true of it only."""
    backend = postgres_backend(postgres_url, clock)
    yield backend
    await backend.close()
