"""Connects to PostgreSQL, and says in one line why that cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import cast

import asyncpg

from outlast.core.errors import OutlastError, StartRefused, StoreRefused, StoreUnavailable
from outlast.settings.values import without_password
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_migrations import SCHEMA

#: The oldest server whose transaction ids have 64 bits in SQL (xid8).
MIN_VERSION = 13
#: Seconds for a connection to be made, and for a statement to be answered.
CONNECT_TIMEOUT = 10.0
COMMAND_TIMEOUT = 15.0
#: Seconds for a goodbye.
GOODBYE_TIMEOUT = 1.0
#: What is raised on a connection that is gone, whatever was being done on it.
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_SETTINGS = {
    "application_name": "outlast",
    "search_path": SCHEMA,
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    # Whoever stops in the middle of a transaction (SIGSTOP, a laptop that sleeps) keeps nobody else waiting for long.
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "10s",
    # Every statement is meant to go through an index, whatever it is asked: one plan a connection is enough, and it is
    # often made while the tables are empty, when reading all of one looks cheap.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
#: Acknowledged means on disk: stricter than "on" is fine.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"

#: Classes of errors (the first two characters of a code) that the same input will always meet: data, constraints,
#: limits of the program.
_REFUSED = frozenset({"22", "23", "54"})


class OwnConnection(asyncpg.Connection):
    """A connection that is not reset when it goes back to its pool: nothing of ours stays behind on it."""

    def get_reset_query(self) -> str:
        """Spare a round trip for each use."""
        return ""


async def connect(url: str) -> asyncpg.Connection:
    """Open a connection as the store uses it."""
    connection = await asyncpg.connect(
        url,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings=_SETTINGS,
        connection_class=OwnConnection,
    )
    try:
        await make_durable(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def disconnect(connection: asyncpg.Connection) -> None:
    """Say goodbye, if anybody is there to hear it."""
    try:
        await connection.close(timeout=GOODBYE_TIMEOUT)
    except BROKEN:
        connection.terminate()


async def create_pool(url: str, size: int) -> asyncpg.Pool:
    """Open a pool of such connections, none of which is made yet."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        timeout=CONNECT_TIMEOUT,
        command_timeout=COMMAND_TIMEOUT,
        server_settings=_SETTINGS,
        connection_class=OwnConnection,
        init=make_durable,
    )


async def make_durable(connection: asyncpg.Connection) -> None:
    """Have commits wait for the disk where the database's settings say that they need not."""
    await connection.execute(_DURABLE)


def name_of(url: str) -> str:
    """Return what people are told of a store."""
    return f"the store {without_password(url).partition('?')[0]}"


@contextlib.asynccontextmanager
async def first_connection(url: str) -> AsyncIterator[Connection]:
    """Connect for the first time, and turn whatever stands against it into a StartRefused with cause and cure."""
    name = name_of(url)
    try:
        connection = await connect(url)
        try:
            await _check(connection, name)
            yield cast("Connection", connection)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT)
    except StartRefused:
        raise
    except Exception as error:
        cure = _cure(error)
        if cure is None:
            raise
        raise StartRefused(f"{name} cannot be used: {explain(error)}: {cure}") from error


async def _check(connection: asyncpg.Connection, name: str) -> None:
    version = connection.get_server_version()
    if version.major < MIN_VERSION:
        raise StartRefused(
            f"{name} is PostgreSQL {version.major}.{version.minor}: use a server of version {MIN_VERSION} or newer"
        )
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StartRefused(f"{name} keeps text as {encoding}: make a database with ENCODING 'UTF8'")
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        raise StartRefused(f"{name} is a standby and takes no writes: name the primary, or promote it")


def explain(error: BaseException) -> str:
    """Return the cause of an error in words, on one line."""
    if isinstance(error, TimeoutError):
        return "the database does not answer in time"
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        return f"{said} ({error.sqlstate})"
    if isinstance(error, OSError) or _connection_is_gone(error):
        return f"the database cannot be reached ({said})"
    return said


def answer_for(error: Exception) -> Exception:
    """Return what the port promises for an error; one that is no database's and no value's stays what it is."""
    if isinstance(error, OutlastError):
        return error
    if isinstance(error, asyncpg.PostgresError):
        refused = (error.sqlstate or "")[:2] in _REFUSED
        return StoreRefused(f"the database refuses it: {error}") if refused else StoreUnavailable(explain(error))
    if isinstance(error, OSError) or _connection_is_gone(error):
        return StoreUnavailable(explain(error))
    # What asyncpg, and our own conversion of values, raise for values that PostgreSQL cannot hold.
    if isinstance(error, asyncpg.InterfaceError | OverflowError | TypeError | ValueError):
        return StoreRefused(f"the database refuses it: {error}")
    return error


def _connection_is_gone(error: BaseException) -> bool:
    """Whether the client found its connection closed: it says so of several kinds of errors."""
    if isinstance(error, asyncpg.InternalClientError):
        return True
    return isinstance(error, asyncpg.InterfaceError) and not isinstance(error, ValueError)


def _cure(error: Exception) -> str | None:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "correct the user and the password in the URL, or in PGPASSWORD"
        case asyncpg.InvalidCatalogNameError():
            return "make the database (CREATE DATABASE), or correct its name in the URL"
        case asyncpg.InsufficientPrivilegeError():
            return "let its user make a schema (GRANT CREATE ON DATABASE), or name another user in the URL"
        case asyncpg.TooManyConnectionsError():
            return "raise max_connections of the server, or stop programs that are connected"
        case asyncpg.PostgresError():
            return "look at the server's log, or name another store"
        case OSError():
            return "start the server, or correct host and port in the URL"
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | ValueError():
            return "correct the URL"
    return None
