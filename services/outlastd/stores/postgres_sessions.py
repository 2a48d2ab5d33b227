"""The sessions of the PostgreSQL store.

Whoever writes has the database compare epoch and state with what was read: where they differ nothing is written, and
the pool decides anew (``Stale``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from outlast.core import session as rules
from outlast.core.errors import SessionNotFound
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlastd.stores import postgres_statements as statements
from outlastd.stores.postgres_clock import ServerClock
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_host_lock import HostLock
from outlastd.stores.postgres_pool import ConnectionPool
from outlastd.stores.postgres_writing import Stale
from outlastd.stores.rows import microseconds
from outlastd.stores.session_port import SessionFilter, SessionPosition
from outlastd.stores.session_rows import session_changing_values, session_fixed_values, session_from_row
from outlastd.stores.store_metrics import Access

T = TypeVar("T")


class PostgresSessionStore:
    """A SessionStore (session_port.py) in a PostgreSQL database, on the connections of the store of its tasks."""

    def __init__(self, url: str, pool: ConnectionPool, clock: ServerClock) -> None:
        self._url = url
        self._pool = pool
        self._clock = clock
        self._locks: list[HostLock] = []

    async def hold(self, host: str) -> None:
        """Have a host's name on this database for this store alone, until it is closed. Raises StartRefused."""
        lock = HostLock(self._url, host)
        await lock.acquire()
        self._locks.append(lock)

    async def release(self) -> None:
        """Let others have what ``hold`` has."""
        for lock in self._locks:
            await lock.release()

    async def begin(self, key: SessionKey, host: str, *, principal: str = "", user: str = "") -> Session:
        """Record that the next run of a session begins, with the next epoch. Raises SessionHeld."""
        return await self._do(lambda db: _begin(db, key, host, principal, user, self._clock.now()))

    async def ready(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run answers. Raises SessionHeld."""
        return await self._do(
            lambda db: _change(db, key, epoch, lambda session: rules.ready(session, self._clock.now()))
        )

    async def stopping(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run is told to end. Raises SessionHeld."""
        return await self._do(lambda db: _change(db, key, epoch, rules.stopping))

    async def end(self, key: SessionKey, epoch: int, reason: EndReason, message: str) -> Session:
        """Record that the run has ended; an ended one stays as it is. Raises SessionHeld."""
        return await self._do(
            lambda db: _change(db, key, epoch, lambda session: rules.end(session, reason, message, self._clock.now()))
        )

    async def end_all(self, host: str, reason: EndReason, message: str) -> Sequence[Session]:
        """End every run of a host that has not ended; return them."""
        return await self._do(lambda db: _end_all(db, host, reason, message, self._clock.now()))

    async def get(self, key: SessionKey) -> Session:
        """Return a session. Raises SessionNotFound."""
        return await self._read(lambda db: _get(db, key))

    async def list(self, which: SessionFilter, limit: int, after: SessionPosition | None = None) -> Sequence[Session]:
        """Return up to ``limit`` sessions, newest first, after ``after``."""
        query, parameters = page(which, limit, after)
        return [session_from_row(row) for row in await self._read(lambda db: db.fetch(query, *parameters))]

    async def active_tasks(self, keys: Sequence[SessionKey]) -> Mapping[SessionKey, int]:
        """Return how many tasks of each session have not ended; sessions without any are left out."""
        agents, ids = [key.agent for key in keys], [key.session_id for key in keys]
        rows = await self._read(lambda db: db.fetch(statements.COUNT_ACTIVE_TASKS, agents, ids))
        return {SessionKey(agent, session_id): number for agent, session_id, number in rows}

    async def delete_ended(self, older_than: timedelta, limit: int) -> int:
        """Delete up to ``limit`` sessions that ended longer ago and of which no task is kept; return how many."""
        before = microseconds(self._clock.now() - older_than)
        return len(await self._do(lambda db: db.fetch(statements.DELETE_ENDED_SESSIONS, before, limit)))

    async def _do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._pool.run(lambda connection, _: work(connection))

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._pool.run(lambda connection, _: work(connection), Access.READ)


def page(which: SessionFilter, limit: int, after: SessionPosition | None) -> tuple[str, Sequence[Any]]:
    """Build the query of a page.

    One index gives the rows in the order of the list: the user's, else the agent's, else that of all. The order names
    what that index begins with, without an equality: no other has it then. What else a row has to be is a ``coalesce``,
    which PostgreSQL cannot think so rare that it would rather read all and sort. Only sessions that have not ended are
    few: all of them are read and sorted, in an order (``+ 0``) that no index has.
    """
    parameters: list[Any] = [limit]
    living = bool(which.states) and SessionState.STOPPED not in which.states
    terms = ["state <> 4"] if living else []
    order = ["created_at + 0" if living else "created_at", "agent", "session_id"]
    place: list[str] = []

    def parameter(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    def lead(column: str, value: str) -> None:
        terms.append(f"{column} BETWEEN {value} AND {value}")
        order.insert(0, column)
        place.append(value)

    conditions: list[str] = []
    if which.states:
        conditions.append(f"state IN ({', '.join(str(int(state)) for state in sorted(which.states))})")
    if which.user:
        user = parameter(which.user)
        conditions.append(f"user_id = {user}")
        if not living:
            terms.append("user_id <> ''")
            lead("hashtextextended(user_id, 0)", f"hashtextextended({user}, 0)")
    if which.agent:
        agent = parameter(which.agent)
        if living or which.user:
            conditions.append(f"agent = {agent}")
        else:
            lead("agent", agent)
    if which.prefix:
        conditions.append(f"starts_with(session_id, {parameter(which.prefix)})")
    if after is not None:
        values = (microseconds(after.created_at), after.key.agent, after.key.session_id)
        terms.append(f"({', '.join(order)}) < ({', '.join([*place, *map(parameter, values)])})")
    if conditions:
        terms.append(f"coalesce({' AND '.join(conditions)}, false)")
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    newest_first = ", ".join(f"{column} DESC" for column in order)
    return f"{statements.SELECT_SESSION} {where} ORDER BY {newest_first} LIMIT $1", parameters


async def _begin(
    connection: Connection, key: SessionKey, host: str, principal: str, user: str, now: datetime
) -> Session:
    digest = _digest(key)
    epoch, *row = await connection.fetchrow(statements.GET_SESSION_TO_BEGIN, digest)
    known = None if row[0] is None else session_from_row(row)
    session = rules.begin(known, key, host, epoch, now, principal=principal, user=user)
    if known is not None:
        await _update(connection, [known], [session])
        return session
    values = (*session_fixed_values(session), *session_changing_values(session))
    if not await connection.fetchval(statements.INSERT_SESSION, digest, *values):
        raise Stale
    return session


async def _change(connection: Connection, key: SessionKey, epoch: int, rule: Callable[[Session], Session]) -> Session:
    known = rules.owned(await _get(connection, key), epoch)
    session = rule(known)
    if session is not known:
        await _update(connection, [known], [session])
    return session


async def _end_all(
    connection: Connection, host: str, reason: EndReason, message: str, now: datetime
) -> Sequence[Session]:
    async with connection.transaction():
        living = [session_from_row(row) for row in await connection.fetch(statements.LOCK_LIVING_SESSIONS, host)]
        ended = [rules.end(session, reason, message, now) for session in living]
        if ended:
            await _update(connection, living, ended)
    return ended


async def _get(connection: Connection, key: SessionKey) -> Session:
    row = await connection.fetchrow(statements.GET_SESSION, _digest(key))
    if row is None:
        raise SessionNotFound(str(key))
    return session_from_row(row)


async def _update(connection: Connection, known: Sequence[Session], changed: Sequence[Session]) -> None:
    """Write sessions that are as they were known. Raises Stale where one is not."""
    rows = [
        (_digest(before.key), before.epoch, int(before.state), *session_changing_values(after))
        for before, after in zip(known, changed, strict=True)
    ]
    if len(await connection.fetch(statements.UPDATE_SESSIONS, *zip(*rows, strict=True))) != len(rows):
        raise Stale


def _digest(key: SessionKey) -> bytes:
    # The length keeps apart what reads alike; repr() of some text is not the same in every version of Python.
    return hashlib.sha256(f"{len(key.agent)}:{key.agent}{key.session_id}".encode()).digest()
