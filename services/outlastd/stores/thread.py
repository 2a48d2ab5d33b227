"""A thread that owns a connection to SQLite and does the jobs that the services' loop hands to it."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from outlast.core.errors import StoreUnavailable
from outlastd.stores.store_metrics import Occupancy, StoreMetrics

T = TypeVar("T")

#: Jobs that may wait; more are refused at once, so that a slow disk costs answers and not memory.
MAX_WAITING = 10_000
#: Jobs that are served together at the most.
MAX_GROUP = 256


class Job:
    """Something to do with a connection, and the future of who waits for it."""

    __slots__ = ("error", "future", "posted", "result", "work")

    def __init__(self, work: Callable[[sqlite3.Connection], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        #: When, by time.perf_counter; of use while metrics are on only.
        self.posted = 0.0
        self.result: Any = None
        self.error: Exception | None = None


class ConnectionThread:
    """Runs jobs on a thread of its own, all those that wait at a time.

    ``connect`` and ``serve`` are called on the thread. ``serve`` gives every job its result or its error; when it
    raises itself, that is the error of all its jobs.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], sqlite3.Connection],
        serve: Callable[[sqlite3.Connection, Sequence[Job]], None],
        *,
        max_waiting: int = MAX_WAITING,
        metrics: StoreMetrics | None = None,
    ) -> None:
        self._name = name
        self._metrics = metrics
        self._end_metrics: Callable[[], None] | None = None
        self._busy = False
        self._connect = connect
        self._serve = serve
        self._max_waiting = max_waiting
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a program that ends without closing its store must not hang, and the database needs no goodbye.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    async def start(self) -> None:
        """Start the thread and wait until it is connected; raises what ``connect`` raises."""
        self._thread.start()
        await self._started
        if self._metrics is not None:
            self._end_metrics = self._metrics.pool(self._name, 1, self._occupancy)

    async def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` returns on the thread, or raise what it raises.

        Work that was handed over is done, whether or not the caller still waits for it.

        Raises:
            StoreUnavailable: too much waits already, or the thread has been stopped.
        """
        if self._stopping:
            raise StoreUnavailable("the store is closed")
        if self._waiting.qsize() >= self._max_waiting:
            raise StoreUnavailable(f"{self._max_waiting:,} requests wait for the store already: the disk is too slow")
        job = Job(work, self._loop.create_future())
        if self._metrics is not None:
            job.posted = time.perf_counter()
        self._waiting.put(job)
        result: T = await job.future
        return result

    async def stop(self) -> None:
        """Do what waits, take nothing more, close the connection and end the thread."""
        if not self._stopping:
            self._stopping = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._end_metrics is not None:
            self._end_metrics()

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            self._call_loop(_resolve, self._started, None, error)
            return
        self._call_loop(_resolve, self._started, None, None)
        while jobs := self._take():
            if self._metrics is not None:
                self._note(self._metrics, jobs)
            try:
                self._serve(connection, jobs)
            except Exception as error:  # whoever waits must hear of it, and the thread must live on
                for job in jobs:
                    job.error = error
            self._busy = False
            self._call_loop(_resolve_all, jobs)
        connection.close()

    def _take(self) -> Sequence[Job]:
        """Wait for a job and return all that wait by then, in order; none means the end."""
        job = self._waiting.get()
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == MAX_GROUP:
                return jobs
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return jobs
        if jobs:
            self._waiting.put(None)  # the end comes after these
        return jobs

    def _note(self, metrics: StoreMetrics, jobs: Sequence[Job]) -> None:
        self._busy = True
        now = time.perf_counter()
        for job in jobs:
            metrics.waited(self._name, now - job.posted)

    def _occupancy(self) -> Occupancy:
        """Return what the pool of this one connection is at; on the thread of whoever collects."""
        busy = int(self._busy)
        return busy, 1 - busy, self._waiting.qsize()

    def _call_loop(self, callback: Callable[..., None], *arguments: object) -> None:
        # A closed loop is a RuntimeError: nobody waits for an answer any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)


def _resolve_all(jobs: Sequence[Job]) -> None:
    for job in jobs:
        _resolve(job.future, job.result, job.error)


def _resolve(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():  # given up on by who waited
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
