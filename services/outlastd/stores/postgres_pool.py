"""The connections of a store, and what becomes of work that does not succeed on one at the first try."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from outlast.core.errors import StoreUnavailable
from outlastd.stores.postgres_connecting import BROKEN, GOODBYE_TIMEOUT, answer_for, create_pool
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_writing import Stale
from outlastd.stores.store_metrics import Access, Occupancy, StoreMetrics, store_metrics, transaction

T = TypeVar("T")

#: Connections of one store at the most, besides that for hints.
POOL_SIZE = 10
#: Seconds to wait for one.
ACQUIRE_TIMEOUT = 10.0
#: Seconds for a connection to be of use again after a statement that took too long; then it is cut.
RELEASE_TIMEOUT = 2.0
#: Seconds without any answer after which a store that is closed gives up on those who wait for one: a process that is
#: told to stop is killed soon (`docker stop` waits for 10 s), also while the database does not answer.
CLOSE_TIMEOUT = 2.0
#: How often the rows may be others than those that were decided on, or transactions get into each other's way.
MAX_TRIES = 12
#: The name of the connections in metrics.
NAME = "outlast-store"
_IN_THE_WAY = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

#: Work on a connection; given how often it has been tried before.
Work = Callable[[Connection, int], Awaitable[T]]


class Contended(StoreUnavailable):
    """The rows were others than those that were decided on, as often as it was tried."""


class ConnectionPool:
    """Runs work on connections, each piece to its end: whoever asked for it may go away meanwhile."""

    def __init__(self, pool: asyncpg.Pool, metrics: StoreMetrics | None = None) -> None:
        self._pool = pool
        self._metrics = metrics
        #: How many connections are in use, and how many pieces of work wait for one.
        self._used = self._waiting = 0
        self._end_metrics = None if metrics is None else metrics.pool(NAME, pool.get_max_size(), self._occupancy)
        self._under_way: set[asyncio.Task[object]] = set()
        self._closed = False

    @classmethod
    async def open(cls, url: str) -> ConnectionPool:
        """Make the pool; it connects when it is used."""
        return cls(await create_pool(url, POOL_SIZE), store_metrics("postgresql"))

    async def finish(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run something to its end, and wait for it.

        Raises:
            StoreUnavailable: the store is closed.
        """
        self.check_open()
        return await asyncio.shield(self.start(work()))

    def check_open(self) -> None:
        """Raise StoreUnavailable when the store is closed."""
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def start(self, work: Awaitable[T]) -> asyncio.Task[T]:
        """Run something to its end; when the store is closed meanwhile it is waited for."""
        task = asyncio.ensure_future(_awaited(work))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    async def do(self, work: Work[T], access: Access = Access.WRITE, max_tries: int | None = None) -> T:
        """Run work on a connection, again when its rows have changed meanwhile.

        Raises:
            Contended: they have each time.
            StoreUnavailable, StoreRefused: as the port has it.
        """
        for tries in range(max_tries or MAX_TRIES):
            try:
                return await self._once(work, tries, access)
            except (Stale, *_IN_THE_WAY):
                await asyncio.sleep(random.uniform(0, 0.002) * tries)
            except Exception as error:
                answer = answer_for(error)
                if answer is error:
                    raise
                raise answer from error
        raise Contended("what is to be changed is being changed by others all the time")

    async def run(self, work: Work[T], access: Access = Access.WRITE) -> T:
        """Run work on a connection to its end (``finish``, ``do``)."""
        return await self.finish(lambda: self.do(work, access))

    async def close(self) -> None:
        """Let what is under way finish, then disconnect."""
        self._closed = True
        answered: set[asyncio.Task[object]] | None = None
        while self._under_way and answered != set():
            answered, _ = await asyncio.wait(
                self._under_way, timeout=CLOSE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self._pool.close()
        except BROKEN:
            self._pool.terminate()
        if self._end_metrics is not None:
            self._end_metrics()

    async def _once(self, work: Work[T], tries: int, access: Access) -> T:
        connection = await self._acquire()
        self._used += 1
        try:
            with transaction(self._metrics, access):
                return await work(cast("Connection", connection), tries)
        finally:
            self._used -= 1
            await self._pool.release(connection, timeout=RELEASE_TIMEOUT)

    async def _acquire(self) -> PoolConnectionProxy[asyncpg.Record]:
        began = time.perf_counter()
        self._waiting += 1
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except TimeoutError as error:
            raise StoreUnavailable(
                f"no connection to the database within {ACQUIRE_TIMEOUT:g} s: all {self._pool.get_max_size()} are in "
                "use, or it does not answer"
            ) from error
        finally:
            self._waiting -= 1
        if self._metrics is not None:
            self._metrics.waited(NAME, time.perf_counter() - began)
        return connection

    def _occupancy(self) -> Occupancy:
        """Return what the pool is at; on the thread of whoever collects."""
        return self._used, self._pool.get_idle_size(), self._waiting

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited may be gone: nobody else needs to hear of it


async def _awaited(work: Awaitable[T]) -> T:
    return await work
