"""A lock of a PostgreSQL database that a session host has while it lives, on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import time

import asyncpg

from outlast.telemetry.log import get_logger
from outlastd.stores import host_name
from outlastd.stores.postgres_connecting import BROKEN, answer_for, connect, disconnect, name_of
from outlastd.stores.postgres_listening import QUIET

_TRY = "SELECT pg_try_advisory_lock($1)"
#: The server finds out within half a minute that a machine is gone, and lets go what that had; 2 h are usual.
_KEEPALIVE = (
    "SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false), "
    "set_config('tcp_keepalives_count', '3', false)"
)
#: Seconds for the server to notice that the process of an earlier host has ended, and between two looks.
PATIENCE, PAUSE = 5.0, 0.1
#: Seconds before a lock that was lost is tried for again; twice as many each time, up to the last.
FIRST_RETRY, LAST_RETRY = 1.0, 60.0


class HostLock:
    """The lock for a host's name. The server lets it go when the process ends, however it ends."""

    def __init__(self, url: str, host: str) -> None:
        self._url = url
        self._host = host
        self._key = int.from_bytes(host_name.digest(host), signed=True)
        self._keeping: asyncio.Task[None] | None = None

    async def acquire(self) -> None:
        """Take the lock, and keep it.

        Raises:
            StartRefused: another has it.
            StoreUnavailable, StoreRefused: as the port has it.
        """
        try:
            connection = await self._take(PATIENCE)
        except Exception as error:
            answer = answer_for(error)
            if answer is error:
                raise
            raise answer from error
        if connection is None:
            raise host_name.taken(self._host, name_of(self._url))
        self._keeping = asyncio.create_task(self._keep(connection))

    async def release(self) -> None:
        """Disconnect, which lets the lock go; nothing where it is not held."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _take(self, patience: float) -> asyncpg.Connection | None:
        """Return a connection that has the lock; None where another has it for so many seconds."""
        connection = await connect(self._url)
        held = False
        try:
            await connection.execute(_KEEPALIVE)
            deadline = time.monotonic() + patience
            while True:
                held = await connection.fetchval(_TRY, self._key)
                if held or time.monotonic() >= deadline:
                    return connection if held else None
                await asyncio.sleep(PAUSE)
        finally:
            if not held:
                await disconnect(connection)

    async def _keep(self, connection: asyncpg.Connection) -> None:
        while True:
            try:
                with contextlib.suppress(*BROKEN):
                    await _until_closed(connection)
            finally:
                await disconnect(connection)
            get_logger().warning("session host's name was lost with a connection to the database", host=self._host)
            connection = await self._take_again()
            get_logger().info("session host's name is held again", host=self._host)

    async def _take_again(self) -> asyncpg.Connection:
        pause = FIRST_RETRY
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_RETRY)
            with contextlib.suppress(*BROKEN):
                if (connection := await self._take(0)) is not None:
                    return connection
                get_logger().error("another session host has this one's name: stop one of them", host=self._host)


async def _until_closed(connection: asyncpg.Connection) -> None:
    closed = asyncio.Event()
    connection.add_termination_listener(lambda _: closed.set())
    while not connection.is_closed():
        try:
            async with asyncio.timeout(QUIET):
                await closed.wait()
        except TimeoutError:
            await connection.execute("SELECT")  # is anybody there?
