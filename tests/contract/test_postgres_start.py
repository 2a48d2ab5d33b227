"""What stands against using a PostgreSQL database is said in one line, with cause and cure."""

from __future__ import annotations

import asyncio
import re
import sys

import asyncpg
import pytest

from outlast.core.errors import StartRefused
from outlast.core.task import Task
from outlastd.stores import postgres_connecting
from outlastd.stores.migrations import Migration, load_migrations
from outlastd.stores.postgres import PostgresTaskStore

from ..postgres_server import PostgresServer, execute
from .making import DONE, START, operations, register, submission


async def refusal(url: str) -> str:
    """Return why a store cannot be opened."""
    with pytest.raises(StartRefused) as refused:
        await (await PostgresTaskStore.open(url)).close()
    message = str(refused.value)
    assert "\n" not in message
    return message


async def test_no_server(postgres_server: PostgresServer) -> None:
    """Where nobody listens the message says so."""
    url = re.sub(r":\d+/", ":1/", postgres_server.url())

    assert "cannot be reached" in (message := await refusal(url))
    assert "start the server" in message


async def test_no_such_host() -> None:
    """A host that does not exist is out of reach."""
    assert "start the server, or correct host and port" in await refusal("postgresql://u@no.such.host.invalid/d")


async def test_no_database(postgres_server: PostgresServer) -> None:
    """A database that does not exist is to be made."""
    assert "make the database" in await refusal(postgres_server.url("nowhere"))


async def test_wrong_password(postgres_server: PostgresServer, postgres_url: str) -> None:
    """A wrong password is refused, and not repeated in the message."""
    await execute(postgres_url, "CREATE ROLE guarded LOGIN PASSWORD 'right'")
    database = postgres_url.rpartition("/")[2]
    try:
        message = await refusal(postgres_server.url(database, "guarded", "wrong-one"))
    finally:
        await execute(postgres_url, "DROP ROLE guarded")

    assert "correct the user and the password" in message
    assert "wrong-one" not in message


async def test_no_right_to_make_a_schema(postgres_server: PostgresServer, postgres_url: str) -> None:
    """A user who may not make the schema is told which right is missing."""
    await execute(postgres_url, "CREATE ROLE visitor LOGIN")
    database = postgres_url.rpartition("/")[2]
    try:
        assert "GRANT CREATE ON DATABASE" in await refusal(postgres_server.url(database, "visitor"))
    finally:
        await execute(postgres_url, "DROP ROLE visitor")


async def test_few_rights(postgres_server: PostgresServer, postgres_url: str) -> None:
    """The right to make a schema is all that a user needs."""
    database = postgres_url.rpartition("/")[2]
    await execute(postgres_url, "CREATE ROLE modest LOGIN")
    await execute(postgres_url, f"GRANT CREATE ON DATABASE {database} TO modest")
    await execute(postgres_url, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        for _ in range(2):
            store = await PostgresTaskStore.open(postgres_server.url(database, "modest"))
            await store.close()
    finally:
        await execute(postgres_url, "DROP OWNED BY modest CASCADE")
        await execute(postgres_url, "DROP ROLE modest")


async def test_schema_of_another_program(postgres_url: str) -> None:
    """A schema of our name that is not ours is left alone."""
    await execute(postgres_url, "CREATE SCHEMA outlast")

    assert "another program's" in await refusal(postgres_url)
    assert await execute(
        postgres_url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'outlast'::regnamespace"
    ) == [(0,)]


async def test_other_encoding(postgres_server: PostgresServer) -> None:
    """A database that cannot keep every text is refused."""
    name = "test_latin"
    postgres_server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    try:
        assert "ENCODING 'UTF8'" in await refusal(postgres_server.url(name))
    finally:
        postgres_server.drop_database(name)


async def test_old_server(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is too old is refused."""
    monkeypatch.setattr(postgres_connecting, "MIN_VERSION", 1000)

    assert "use a server of version 1000 or newer" in await refusal(postgres_url)


@pytest.mark.parametrize("url", ["postgresql://u@127.0.0.1:x/d", "postgresql://u@127.0.0.1/d?sslmode=often"])
async def test_no_url(url: str) -> None:
    """A URL that means nothing is to be corrected."""
    assert "correct the URL" in await refusal(url)


async def test_newer_schema(postgres_url: str) -> None:
    """A database that a newer outlast has made is refused where this one would break it, else it is used."""
    known = len(load_migrations("postgresql"))
    await (await PostgresTaskStore.open(postgres_url)).close()

    await execute(
        postgres_url, f"UPDATE outlast.schema_version SET version = {known + 2}, compatible_from = {known + 1}"
    )
    assert "made by a newer outlast" in await refusal(postgres_url)

    await execute(postgres_url, f"UPDATE outlast.schema_version SET compatible_from = {known}")
    store = await PostgresTaskStore.open(postgres_url)
    await register(store, "worker")
    assert len((await store.apply("worker", operations(1, START, DONE))).changes) == 2
    await store.close()
    assert await execute(postgres_url, "SELECT version FROM outlast.schema_version") == [(known + 2,)]


async def test_rolling_upgrade(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is in use goes on while a newer outlast migrates the database under it."""
    known = load_migrations("postgresql")
    old = await PostgresTaskStore.open(postgres_url)
    await register(old, "worker")
    await old.apply("worker", operations(1, START))
    newer = [*known, Migration(len(known) + 1, "ALTER TABLE tasks ADD COLUMN priority bigint DEFAULT 0", len(known))]
    monkeypatch.setattr("outlastd.stores.postgres_migrations.load_migrations", lambda _: newer)

    new = await PostgresTaskStore.open(postgres_url)
    await old.apply("worker", operations(1, DONE, first=2))

    assert await old.get(1) == await new.get(1)
    assert await new.events(1, 0, 10) == await old.events(1, 0, 10)
    await old.close()
    await new.close()


async def test_failing_migration(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails leaves the database as it was."""
    known = load_migrations("postgresql")
    broken = [*known, Migration(len(known) + 1, "CREATE TABLE half (); SELECT 1 / 0", len(known))]
    with monkeypatch.context() as patched:
        patched.setattr("outlastd.stores.postgres_migrations.load_migrations", lambda _: broken)
        assert "division by zero" in await refusal(postgres_url)

    assert await execute(postgres_url, "SELECT to_regnamespace('outlast') IS NULL") == [(True,)]
    await (await PostgresTaskStore.open(postgres_url)).close()


OPENER = """
import asyncio, sys
from outlastd.stores.postgres import PostgresTaskStore

async def main():
    sys.stdin.readline()
    await (await PostgresTaskStore.open(sys.argv[1])).close()

asyncio.run(main())
"""


async def test_several_processes_migrate(postgres_url: str) -> None:
    """Of several processes that open a new database at the same time each finds it ready."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPENER, postgres_url, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(4)
    ]

    ends = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))

    assert [process.returncode for process in processes] == [0] * 4, ends
    assert await execute(postgres_url, "SELECT count(*), max(version) FROM outlast.schema_version") == [
        (1, len(load_migrations("postgresql")))
    ]


async def test_copy_in_another_cluster(postgres_url: str) -> None:
    """The events of a database that was restored elsewhere are read, though their transactions are to come there."""
    store = await PostgresTaskStore.open(postgres_url)
    await register(store, "worker")
    await store.create(_of_a_session(1))
    await store.close()
    await execute(postgres_url, "ALTER TABLE outlast.events DISABLE TRIGGER events_never_change")
    await execute(postgres_url, "UPDATE outlast.events SET transaction = '4000000000000'")
    await execute(postgres_url, "ALTER TABLE outlast.events ENABLE TRIGGER events_never_change")
    await execute(postgres_url, "UPDATE outlast.schema_version SET cluster = 7")

    store = await PostgresTaskStore.open(postgres_url)
    await store.create(_of_a_session(2))

    assert [found.event.task_id for found in await store.session_events("mine", "", 10)] == [1, 2]
    await store.close()
    with pytest.raises(asyncpg.RestrictViolationError, match="an event never changes"):
        await execute(postgres_url, "UPDATE outlast.events SET attempt = 7")


def _of_a_session(task_id: int) -> Task:
    return submission(task_id, session_id="mine")
