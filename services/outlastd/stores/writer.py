"""Commits what waits together: one transaction, one fsync, whatever the number of jobs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from outlast.core.errors import StoreUnavailable
from outlastd.stores.advance import Advance, advance
from outlastd.stores.database import answer_for, connect_to_write, explain
from outlastd.stores.store_metrics import Access, StoreMetrics, transaction
from outlastd.stores.thread import Job


class Writer:
    """What the writing thread of a store does. All of it runs on that thread."""

    def __init__(self, path: Path, metrics: StoreMetrics | None = None) -> None:
        self._path = path
        self._metrics = metrics
        self._file: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        """Open the file. Raises StartRefused."""
        self._path = self._path.absolute()  # the program may go to another folder
        connection = connect_to_write(self._path)
        self._file = self._identity()
        return connection

    def serve(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
        """Run every job, then commit all of them at once.

        There is no window to wait for: while one commit is on its way to the disk, the next jobs gather by themselves.
        A job that raises undoes itself only. A commit that fails fails them all, and nothing is written.
        """
        if self._identity() != self._file:
            # SQLite would go on writing to a file that nobody can open again.
            _fail(jobs, f"the database {self._path} was removed or replaced while in use: start again")
            return
        try:
            with transaction(self._metrics, Access.WRITE):
                connection.execute("BEGIN IMMEDIATE")
                if not _run_all(connection, jobs):
                    # One has to be undone, and not the others: once more, where that can be done.
                    connection.execute("ROLLBACK")
                    connection.execute("BEGIN IMMEDIATE")
                    for job in jobs:
                        _run_in_savepoint(connection, job)
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            # Those that were refused, too: what they saw may be a neighbour's, and that is undone.
            _fail(jobs, explain(error))
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _run_all(connection: sqlite3.Connection, jobs: Sequence[Job]) -> bool:
    """Run jobs without savepoints, which few need; return whether there is nothing to undo.

    Neighbours that are batches of workers are written together, in as many steps as one of them. No job is done before
    one that came earlier: who waits is told in that order, and shows the changes of a task as he is told of them.
    """
    for batches, some in groupby(jobs, _is_batch):
        run = _write_together if batches else _run_each
        if not run(connection, list(some)):
            return False
    return True


def _is_batch(job: Job) -> bool:
    return isinstance(job.work, Advance)


def _write_together(connection: sqlite3.Connection, jobs: Sequence[Job]) -> bool:
    """Write batches of workers; return whether there is nothing to undo."""
    advances = [job.work for job in jobs if isinstance(job.work, Advance)]
    if len(advances) < 2 or len({each.worker.worker_id for each in advances}) != len(advances):
        return _run_each(connection, jobs)
    try:
        advance(connection, advances)
    except Exception as error:
        if _is_outage(error):
            raise
        return False  # which one it was will show
    return True


def _run_each(connection: sqlite3.Connection, jobs: Sequence[Job]) -> bool:
    return all(_run(connection, job) for job in jobs)


def _run(connection: sqlite3.Connection, job: Job) -> bool:
    """Run a job without a savepoint; return whether there is nothing to undo."""
    before = connection.total_changes
    _run_and_answer(connection, job)
    return job.error is None or connection.total_changes == before


def _run_in_savepoint(connection: sqlite3.Connection, job: Job) -> None:
    job.error = None
    connection.execute("SAVEPOINT job")
    _run_and_answer(connection, job)
    if job.error is not None:
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _run_and_answer(connection: sqlite3.Connection, job: Job) -> None:
    try:
        job.result = job.work(connection)
    except Exception as error:
        if _is_outage(error):
            raise
        job.error = answer_for(error)


def _is_outage(error: Exception) -> bool:
    """Whether it is the disk, not the job; SQLite may have undone the whole transaction already."""
    return isinstance(error, sqlite3.Error) and isinstance(answer_for(error), StoreUnavailable)


def _fail(jobs: Sequence[Job], why: str) -> None:
    for job in jobs:
        job.error = StoreUnavailable(why)
