"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .postgres_server import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Run one PostgreSQL for all tests that ask for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Make an empty database and return its URL."""
    postgres_server.start()  # a test before may have stopped it
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.start()
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def _used_database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database()


@pytest.fixture
def used_postgres_url(postgres_server: PostgresServer, _used_database: str) -> Iterator[str]:
    """Return the URL of a database whose tables a store may have made before; they are empty. Ten times as quick."""
    postgres_server.start()
    yield postgres_server.url(_used_database)
    postgres_server.start()
    postgres_server.empty_database(_used_database)
