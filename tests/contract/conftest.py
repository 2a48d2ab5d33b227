"""Every test here runs on every store: ``store`` is one, and ``backend`` opens more on the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from blockbuster import blockbuster_ctx

from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore

from .clock import FakeClock


class Backend(Protocol):
    """A database that stores can be opened on."""

    async def open(self) -> TaskStore:
        """Open one more store on the database."""
        ...

    async def close(self) -> None:
        """Close all that were opened."""
        ...


class SQLiteBackend:
    """A file in a folder of the test's own."""

    def __init__(self, path: Path, clock: FakeClock) -> None:
        self._path = path
        self._clock = clock
        self._stores: list[TaskStore] = []

    async def open(self) -> TaskStore:
        """Open one more store on the database."""
        store = await SQLiteTaskStore.open(self._path, self._clock)
        self._stores.append(store)
        return store

    async def close(self) -> None:
        """Close all that were opened."""
        for store in self._stores:
            await store.close()


@pytest.fixture(autouse=True)
def _no_blocking_call_on_the_loop() -> Iterator[None]:
    with blockbuster_ctx("outlastd"):
        yield


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of the stores."""
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the file that a SQLite store keeps."""
    return tmp_path / "outlast.db"


@pytest.fixture(params=["sqlite"])
async def backend(database: Path, clock: FakeClock) -> AsyncIterator[Backend]:
    """Return a database of each kind."""
    backend = SQLiteBackend(database, clock)
    yield backend
    await backend.close()


@pytest.fixture
async def store(backend: Backend) -> TaskStore:
    """Return a store that is empty."""
    return await backend.open()
