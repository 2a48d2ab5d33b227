"""What a session store has answered is on disk, and what it cannot do is said."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.session import EndReason, SessionKey, SessionState
from outlastd.stores.opening import open_store
from outlastd.stores.port import TaskStore
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.stores.session_port import SessionFilter
from outlastd.stores.sqlite import SQLiteTaskStore

from ..postgres_server import PostgresServer

KEY = SessionKey("agent", "s" * 33)

#: Begins and ends runs of four sessions without end, and says which are answered.
WRITER = """
import asyncio, sys
from pathlib import Path
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.session import EndReason, SessionKey
from outlastd.stores.opening import open_store

async def work(sessions, key):
    while True:
        session = await sessions.begin(key, "host")
        print(key.session_id, session.run, "STARTING", flush=True)
        await sessions.ready(key, session.epoch)
        print(key.session_id, session.run, "RUNNING", flush=True)
        await sessions.end(key, session.epoch, EndReason.IDLE_TIMEOUT, "idle")
        print(key.session_id, session.run, "STOPPED", flush=True)

async def main():
    url, path = sys.argv[1:]
    store = await open_store(url, Path(path) if path else None, DEFAULT_POLICY)
    await asyncio.gather(*(work(store.sessions, SessionKey("agent", name * 33)) for name in "abcd"))

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [1, 50])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_killed_host(request: pytest.FixtureRequest, database: Path, kind: str, answers: int) -> None:
    """After SIGKILL at any moment each session is at least as far as was answered, and can be ended and begin anew."""
    path = database if kind == "sqlite" else None
    url = "" if path else str(request.getfixturevalue("postgres_url"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, str(path or ""), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    answered = [await process.stdout.readline() for _ in range(answers)]
    process.send_signal(signal.SIGKILL)
    answered += [line for line in (await process.stdout.read()).splitlines(keepends=True) if line[-1:] == b"\n"]
    assert await process.wait() == -signal.SIGKILL

    store = await open_store(url, path, DEFAULT_POLICY)
    try:
        for session_id, run, state in {line.split()[0]: line.decode().split() for line in answered}.values():
            session = await store.sessions.get(SessionKey("agent", session_id))
            assert (session.run, session.state) >= (int(run), SessionState[state])
        living = frozenset(SessionState) - {SessionState.STOPPED}
        left = await store.sessions.list(SessionFilter(living), 10)
        ended = await store.sessions.end_all("host", EndReason.HOST_LOST, "killed")
        assert {session.key for session in ended} == {session.key for session in left}
        for session in await store.sessions.list(SessionFilter(), 10):
            assert (await store.sessions.begin(session.key, "host")).run == session.run + 1
    finally:
        await store.close()


def questions(store: TaskStore) -> Sequence[Callable[[], Awaitable[object]]]:
    """Return everything that can be asked about sessions."""
    sessions = store.sessions
    return (
        lambda: sessions.begin(KEY, "host"),
        lambda: sessions.ready(KEY, 1),
        lambda: sessions.stopping(KEY, 1),
        lambda: sessions.end(KEY, 1, EndReason.IDLE_TIMEOUT, ""),
        lambda: sessions.end_all("host", EndReason.HOST_LOST, ""),
        lambda: sessions.get(KEY),
        lambda: sessions.list(SessionFilter(), 1),
        lambda: sessions.active_tasks([KEY]),
        lambda: sessions.delete_ended(DEFAULT_POLICY.lease_ttl, 1),
        lambda: sessions.hold("host"),
    )


async def test_server_that_is_down(postgres_server: PostgresServer, postgres_url: str) -> None:
    """While the server is down every question is unavailable, with the cause; afterwards the same store answers."""
    store = await PostgresTaskStore.open(postgres_url)
    session = await store.sessions.begin(KEY, "host")
    postgres_server.stop()

    for ask in questions(store):
        with pytest.raises(StoreUnavailable, match=r"."):
            await ask()

    postgres_server.start()
    assert session == await store.sessions.get(KEY)
    assert (await store.sessions.ready(KEY, session.epoch)).state is SessionState.RUNNING
    await store.close()


async def test_removed_file(database: Path) -> None:
    """Nothing is recorded in a file that was removed while in use: nobody could open it again."""
    store = await SQLiteTaskStore.open(database)
    try:
        await asyncio.to_thread(database.unlink)

        for ask in questions(store)[:5]:
            with pytest.raises(StoreUnavailable, match="removed or replaced"):
                await ask()
    finally:
        await store.close()


async def test_database_clock(postgres_url: str) -> None:
    """Where no clock is given times are the database's."""
    store = await PostgresTaskStore.open(postgres_url)
    before = await store.clock()
    session = await store.sessions.begin(KEY, "host")
    ended = await store.sessions.end(KEY, session.epoch, EndReason.IDLE_TIMEOUT, "")
    after = await store.clock()

    assert session.created_at is not None
    assert ended.ended_at is not None
    assert abs(session.created_at - before) < after - before + DEFAULT_POLICY.lease_ttl
    assert session.created_at <= ended.ended_at
    await store.close()
