"""Hints between the processes on one database: NOTIFY, on a connection of its own, outside of every transaction."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Iterable

import asyncpg

from outlastd.stores.postgres_connecting import BROKEN, connect, disconnect

_CHANNEL = "outlast"
_NOTIFY = "SELECT pg_notify($1, $2)"
#: Seconds for which changes are gathered: one NOTIFY takes a lock of the whole server, whatever it says.
GATHER = 0.02
#: Ids in one hint at the most; PostgreSQL takes 8,000 bytes. More are said to be "any".
MAX_IDS = 390
_ANY = "*"
#: Seconds of silence after which the connection is tried: one that is cut without a word hears nothing for ever.
QUIET = 15.0
#: Seconds between two tries to connect.
_RETRY = 1.0


class Hints:
    """Says which tasks this store has changed, and hears it of others. What gets lost is found by who polls."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._me = secrets.token_hex(8)
        self._said: set[int] = set()
        self._something_said = asyncio.Event()
        self._listeners: set[_Heard] = set()
        self._closed = False
        self._work = asyncio.create_task(self._stay_connected())

    def announce(self, task_ids: Iterable[int]) -> None:
        """Hint that tasks have changed."""
        if self._closed or not (changed := set(task_ids)):
            return
        if len(self._said) <= MAX_IDS:
            self._said |= changed
        self._something_said.set()

    async def hints(self) -> AsyncGenerator[frozenset[int] | None, None]:
        """Give the tasks that others have changed, or None when any may have; end when the store is closed."""
        heard = _Heard()
        self._listeners.add(heard)
        try:
            while not self._closed:
                await heard.something.wait()
                if self._closed:
                    return
                yield heard.take()
        finally:
            self._listeners.discard(heard)

    async def close(self) -> None:
        """Disconnect, and end every ``hints()``."""
        self._closed = True
        for heard in self._listeners:
            heard.something.set()
        self._work.cancel()
        await asyncio.wait([self._work])

    async def _stay_connected(self) -> None:
        again = False
        while True:
            with contextlib.suppress(*BROKEN):
                await self._serve(await connect(self._url), again)
            again = True
            await asyncio.sleep(_RETRY)

    async def _serve(self, connection: asyncpg.Connection, again: bool) -> None:
        """Say and hear until the connection breaks."""
        connection.add_termination_listener(lambda _: self._something_said.set())
        try:
            await connection.add_listener(_CHANNEL, self._hear)
            if again:
                self._tell_listeners(None)  # what was said meanwhile was not heard
            while not connection.is_closed():
                try:
                    # Not wait_for: on Python 3.11 that one forgets a cancel that comes together with the event.
                    async with asyncio.timeout(QUIET):
                        await self._something_said.wait()
                except TimeoutError:
                    await connection.execute("SELECT")  # is anybody there?
                    continue
                await asyncio.sleep(GATHER)
                self._something_said.clear()
                said, self._said = self._said, set()
                if said and not connection.is_closed():
                    ids = _ANY if len(said) > MAX_IDS else ",".join(map(str, said))
                    await connection.execute(_NOTIFY, _CHANNEL, f"{self._me} {ids}")
        finally:
            await disconnect(connection)

    def _hear(self, connection: object, pid: int, channel: str, payload: object) -> None:
        who, _, ids = str(payload).partition(" ")
        if who == self._me:
            return
        try:
            self._tell_listeners(None if ids == _ANY else {int(task_id) for task_id in ids.split(",")})
        except ValueError:  # somebody else's, on our channel
            self._tell_listeners(None)

    def _tell_listeners(self, task_ids: set[int] | None) -> None:
        for heard in self._listeners:
            heard.add(task_ids)


class _Heard:
    """What one listener has not taken yet."""

    def __init__(self) -> None:
        self.something = asyncio.Event()
        self._task_ids: set[int] | None = set()

    def add(self, task_ids: set[int] | None) -> None:
        """Take note of a hint."""
        if task_ids is None or self._task_ids is None or len(self._task_ids) > 100 * MAX_IDS:
            self._task_ids = None
        else:
            self._task_ids |= task_ids
        self.something.set()

    def take(self) -> frozenset[int] | None:
        """Return all that was noted since the last time."""
        task_ids, self._task_ids = self._task_ids, set()
        self.something.clear()
        return None if task_ids is None else frozenset(task_ids)
