"""The name of a session host, which one store at a time has on a database."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from outlast.core.errors import StartRefused
from outlast.core.policy import DEFAULT_POLICY
from outlastd.stores import host_name, postgres_host_lock
from outlastd.stores.opening import open_store
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.sqlite import SQLiteTaskStore

from ..postgres_server import PostgresServer
from .conftest import Backend

TAKEN = "another session host named 'one' uses the store {}: stop it, or give this one another `name`"
#: Has the name "one" until it is killed.
HOLDER = """
import asyncio, sys
from pathlib import Path
from outlast.core.policy import DEFAULT_POLICY
from outlastd.stores.opening import open_store

async def main():
    url, path = sys.argv[1:]
    store = await open_store(url, Path(path) if path else None, DEFAULT_POLICY)
    await store.sessions.hold("one")
    print("held", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
#: The connections that have, or wait for, such locks of a database.
HOLDERS = (
    "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND datname = '{}'"
)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait for what is not let go."""
    monkeypatch.setattr(postgres_host_lock, "PATIENCE", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_one_has_a_name(backend: Backend) -> None:
    """A second store is refused a name that a first one has, as often as it asks, and is given any other."""
    first, second = await backend.open(), await backend.open()
    await first.sessions.hold("one")

    for _ in range(2):
        with pytest.raises(StartRefused, match=re.escape(TAKEN.partition("{}")[0])):
            await second.sessions.hold("one")
    await second.sessions.hold("other")
    await second.sessions.hold("ONE")


async def test_free_after_close(backend: Backend) -> None:
    """A store that is closed lets its names go."""
    for _ in range(3):
        store = await backend.open()
        await store.sessions.hold("one")
        await store.sessions.hold("other")
        await store.close()


@pytest.mark.usefixtures("impatient")
async def test_one_of_many(backend: Backend) -> None:
    """Of many that ask for a name at the same time one gets it, each time."""
    for number in range(5):
        stores = [await backend.open() for _ in range(6)]
        outcomes = await asyncio.gather(
            *(store.sessions.hold(f"name-{number}") for store in stores), return_exceptions=True
        )
        assert outcomes.count(None) == 1
        assert sum(isinstance(outcome, StartRefused) for outcome in outcomes) == 5, outcomes
        for store in stores:
            await store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_holder(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database: Path, kind: str
) -> None:
    """What a process that was killed had is free at once, for a host that starts in its place."""
    path = database if kind == "sqlite" else None
    url = "" if path else str(request.getfixturevalue("postgres_url"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, str(path or ""), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    store = await open_store(url, path, DEFAULT_POLICY)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(postgres_host_lock, "PATIENCE", 0.0)
            with pytest.raises(StartRefused):
                await store.sessions.hold("one")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await store.sessions.hold("one")
    finally:
        await store.close()


async def test_file_beside_the_database(sqlite: Backend, database: Path) -> None:
    """The lock is a file that only this user reads, the same by whatever link a database is known, and is removed."""
    store = await sqlite.open()
    await store.sessions.hold("one")
    (lock,) = database.parent.glob("*.lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600

    folder = database.parent / "folder"
    folder.mkdir()
    link = folder / "link.db"
    link.symlink_to(database)
    other = await SQLiteTaskStore.open(link)
    try:
        with pytest.raises(StartRefused) as refused:
            await other.sessions.hold("one")
        assert refused.value.message == TAKEN.format(link)
        await store.close()
        assert not lock.exists()
        await other.sessions.hold("one")
        assert lock.exists()
    finally:
        await other.close()


async def test_file_that_cannot_be_made(sqlite: Backend, database: Path) -> None:
    """What stands in the way of the lock is said, with the cure."""
    store = await sqlite.open()
    database.with_name(f"{database.name}-host-{host_name.digest('one').hex()}.lock").mkdir()

    with pytest.raises(StartRefused, match="cannot be had: Is a directory: make the store's folder writable"):
        await store.sessions.hold("one")


@pytest.mark.usefixtures("impatient")
async def test_refusal_has_no_password(postgres: Backend, postgres_url: str) -> None:
    """People are told which database it is, and not how to get into it."""
    await (await postgres.open()).sessions.hold("one")
    other = await PostgresTaskStore.open(postgres_url.replace("postgres@", "postgres:secret@"))
    try:
        with pytest.raises(StartRefused, match="uses the store postgresql://") as refused:
            await other.sessions.hold("one")
        assert "secret" not in refused.value.message
    finally:
        await other.close()


async def test_waits_for_a_host_that_ends(postgres: Backend) -> None:
    """A name that its holder lets go soon is waited for: a server may take a moment to notice an end."""
    first, second = await postgres.open(), await postgres.open()
    await first.sessions.hold("one")
    asking = asyncio.create_task(second.sessions.hold("one"))
    await asyncio.wait([asking], timeout=0.3)
    assert not asking.done()
    await first.close()
    await asking


@pytest.mark.usefixtures("impatient")
async def test_lost_connection(
    postgres: Backend,
    postgres_url: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A name that is lost with its connection is taken again; as long as another has it, the log says so."""
    monkeypatch.setattr(postgres_host_lock, "FIRST_RETRY", 0.05)
    first, second = await postgres.open(), await postgres.open()
    await first.sessions.hold("one")
    database = postgres_url.rpartition("/")[2]
    ((holder,),) = await asyncio.to_thread(postgres_server.execute, HOLDERS.format(database))

    another = await asyncpg.connect(postgres_url)
    key = int.from_bytes(host_name.digest("one"), signed=True)
    waiting = asyncio.create_task(another.execute(f"SELECT pg_advisory_lock({key})"))  # next in line
    in_line = 0
    while in_line < 2:
        await asyncio.sleep(0.01)
        in_line = len(await asyncio.to_thread(postgres_server.execute, HOLDERS.format(database)))
    await asyncio.to_thread(postgres_server.execute, f"SELECT pg_terminate_backend({holder})")
    await waiting
    lost = await _said(capfd, lambda line: line["level"] == "ERROR")
    assert [line["message"] for line in lost[:2]] == [
        "session host's name was lost with a connection to the database",
        "another session host has this one's name: stop one of them",
    ]

    await another.close()
    await _said(capfd, lambda line: line["message"] == "session host's name is held again")
    with pytest.raises(StartRefused):
        await second.sessions.hold("one")
    await first.close()


async def test_server_that_restarts(
    postgres: Backend,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A name is kept through a restart of the server, and a store can be closed while there is none."""
    monkeypatch.setattr(postgres_host_lock, "FIRST_RETRY", 0.05)
    first = await postgres.open()
    await first.sessions.hold("one")
    await asyncio.to_thread(postgres_server.restart)
    await _said(capfd, lambda line: line["message"] == "session host's name is held again")

    await asyncio.to_thread(postgres_server.stop)
    await first.close()
    await asyncio.to_thread(postgres_server.start)


async def _said(capfd: pytest.CaptureFixture[str], last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return the lines that are logged until one that ``last`` says yes to."""
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while not any(map(last, lines)):
            await asyncio.sleep(0.01)
            lines += [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    return lines
