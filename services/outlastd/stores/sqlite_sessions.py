"""The sessions of the SQLite store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import orjson

from outlast.core import session as rules
from outlast.core.errors import SessionNotFound
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlastd.stores import statements
from outlastd.stores.rows import microseconds
from outlastd.stores.session_port import SessionFilter, SessionPosition
from outlastd.stores.session_rows import session_changing_values, session_fixed_values, session_from_row
from outlastd.stores.sqlite_host_lock import HostLock
from outlastd.stores.thread import ConnectionThread
from outlastd.stores.writes import next_epoch

T = TypeVar("T")


class SQLiteSessionStore:
    """A SessionStore (session_port.py) in a SQLite file, on the threads of the store that keeps its tasks there."""

    def __init__(
        self, path: Path, writer: ConnectionThread, reader: ConnectionThread, now: Callable[[], datetime]
    ) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader
        self._now = now
        self._locks: list[HostLock] = []

    async def hold(self, host: str) -> None:
        """Have a host's name on this file for this store alone, until it is closed. Raises StartRefused."""
        await asyncio.to_thread(self._hold, host)

    async def release(self) -> None:
        """Let others have what ``hold`` has."""
        for lock in self._locks:
            await asyncio.to_thread(lock.release)

    async def begin(self, key: SessionKey, host: str, *, principal: str = "", user: str = "") -> Session:
        """Record that the next run of a session begins, with the next epoch. Raises SessionHeld."""
        return await self._write(lambda db, now: _begin(db, key, host, principal, user, now))

    async def ready(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run answers. Raises SessionHeld."""
        return await self._write(lambda db, now: _change(db, key, epoch, lambda session: rules.ready(session, now)))

    async def stopping(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run is told to end. Raises SessionHeld."""
        return await self._write(lambda db, _: _change(db, key, epoch, rules.stopping))

    async def end(self, key: SessionKey, epoch: int, reason: EndReason, message: str) -> Session:
        """Record that the run has ended; an ended one stays as it is. Raises SessionHeld."""
        return await self._write(
            lambda db, now: _change(db, key, epoch, lambda session: rules.end(session, reason, message, now))
        )

    async def end_all(self, host: str, reason: EndReason, message: str) -> Sequence[Session]:
        """End every run of a host that has not ended; return them."""
        return await self._write(lambda db, now: _end_all(db, host, reason, message, now))

    async def get(self, key: SessionKey) -> Session:
        """Return a session. Raises SessionNotFound."""
        return await self._reader.do(lambda db: _get(db, key))

    async def list(self, which: SessionFilter, limit: int, after: SessionPosition | None = None) -> Sequence[Session]:
        """Return up to ``limit`` sessions, newest first, after ``after``."""
        query, parameters = page(which, limit, after)
        return await self._reader.do(lambda db: [session_from_row(row) for row in db.execute(query, parameters)])

    async def active_tasks(self, keys: Sequence[SessionKey]) -> Mapping[SessionKey, int]:
        """Return how many tasks of each session have not ended; sessions without any are left out."""
        pairs = [(key.agent, key.session_id) for key in keys]
        rows = await self._reader.do(
            lambda db: db.execute(statements.COUNT_ACTIVE_TASKS, (orjson.dumps(pairs),)).fetchall()
        )
        return {SessionKey(agent, session_id): number for agent, session_id, number in rows}

    async def delete_ended(self, older_than: timedelta, limit: int) -> int:
        """Delete up to ``limit`` sessions that ended longer ago and of which no task is kept; return how many."""
        return await self._write(
            lambda db, now: (
                db.execute(statements.DELETE_ENDED_SESSIONS, (microseconds(now - older_than), limit)).rowcount
            )
        )

    def _hold(self, host: str) -> None:
        lock = HostLock(self._path, host)
        lock.acquire()
        self._locks.append(lock)

    async def _write(self, work: Callable[[sqlite3.Connection, datetime], T]) -> T:
        return await self._writer.do(lambda db: work(db, self._now()))


def page(which: SessionFilter, limit: int, after: SessionPosition | None) -> tuple[str, Sequence[Any]]:
    """Build the query of a page.

    One index gives the rows in the order of the list: the user's, else the agent's, else that of all. Only sessions
    that have not ended are few: all of them are read and sorted.
    """
    terms: list[str] = []
    parameters: list[Any] = []
    index = "sessions_by_creation"
    if which.states:
        terms.append(f"state IN ({', '.join(str(int(state)) for state in sorted(which.states))})")
    if which.agent:
        index = "sessions_by_agent"
        terms.append("+agent = ?" if which.user else "agent = ?")  # the order is another's then
        parameters.append(which.agent)
    if which.user:
        index = "sessions_by_user"
        terms.append("user_id = ? AND user_id <> ''")
        parameters.append(which.user)
    if which.states and SessionState.STOPPED not in which.states:
        index = "sessions_living"
        terms.append("state <> 4")
    if which.prefix:
        terms.append("substr(session_id, 1, length(?)) = ?")
        parameters += (which.prefix, which.prefix)
    if after is not None:
        terms.append("(created_at, agent, session_id) < (?, ?, ?)")
        parameters += (microseconds(after.created_at), after.key.agent, after.key.session_id)
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    order = "ORDER BY created_at DESC, agent DESC, session_id DESC LIMIT ?"
    return f"{statements.SELECT_SESSION} INDEXED BY {index} {where} {order}", (*parameters, limit)


def _begin(
    connection: sqlite3.Connection, key: SessionKey, host: str, principal: str, user: str, now: datetime
) -> Session:
    known = _find(connection, key)
    session = rules.begin(known, key, host, next_epoch(connection), now, principal=principal, user=user)
    if known is None:
        values = (*session_fixed_values(session), *session_changing_values(session))
        connection.execute(statements.INSERT_SESSION, values)
    else:
        _update(connection, session)
    return session


def _change(connection: sqlite3.Connection, key: SessionKey, epoch: int, rule: Callable[[Session], Session]) -> Session:
    known = rules.owned(_get(connection, key), epoch)
    session = rule(known)
    if session is not known:
        _update(connection, session)
    return session


def _end_all(
    connection: sqlite3.Connection, host: str, reason: EndReason, message: str, now: datetime
) -> Sequence[Session]:
    living = map(session_from_row, connection.execute(statements.GET_LIVING_SESSIONS, (host,)).fetchall())
    ended = [rules.end(session, reason, message, now) for session in living]
    for session in ended:
        _update(connection, session)
    return ended


def _get(connection: sqlite3.Connection, key: SessionKey) -> Session:
    session = _find(connection, key)
    if session is None:
        raise SessionNotFound(str(key))
    return session


def _find(connection: sqlite3.Connection, key: SessionKey) -> Session | None:
    row = connection.execute(statements.GET_SESSION, (key.agent, key.session_id)).fetchone()
    return None if row is None else session_from_row(row)


def _update(connection: sqlite3.Connection, session: Session) -> None:
    key = session.key
    connection.execute(statements.UPDATE_SESSION, (*session_changing_values(session), key.agent, key.session_id))
