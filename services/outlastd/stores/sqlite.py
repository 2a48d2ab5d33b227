"""The SQLite store: one file, for one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import reads, writes
from outlastd.stores.database import connect_to_read
from outlastd.stores.port import Applied, Position, TaskFilter
from outlastd.stores.thread import ConnectionThread
from outlastd.stores.writer import Writer

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class SQLiteTaskStore:
    """A TaskStore (port.py) in a SQLite file. Several processes of one machine may share the file.

    Two threads do all the work: ``outlast-store`` writes, and commits all that waits with one fsync;
    ``outlast-store-read`` reads, and never waits for the disk of a write. What a write has answered, a read sees.
    """

    def __init__(self, writer: ConnectionThread, reader: ConnectionThread, now: Callable[[], datetime]) -> None:
        self._writer = writer
        self._reader = reader
        self._now = now

    @classmethod
    async def open(cls, path: Path, now: Callable[[], datetime] = utc_now) -> SQLiteTaskStore:
        """Open the store in a file, on the loop that will use it; the file and its folder are made when missing.

        ``now`` is the store's clock; it is called on the writer's thread.

        Raises:
            StartRefused: the file cannot be used; the message is one line that names cause and cure.
        """
        writing = Writer(path)
        writer = ConnectionThread("outlast-store", writing.connect, writing.serve)
        reader = ConnectionThread("outlast-store-read", partial(connect_to_read, path), reads.read_each)
        await writer.start()
        try:
            await reader.start()
        except BaseException:
            await writer.stop()
            raise
        return cls(writer, reader, now)

    async def register_worker(self, worker_id: str, agent: str, lock_path: str = "") -> Worker:
        """Return the worker's row, made with the next epoch when the id is new, unchanged when it is not."""
        return await self._write(lambda db, now: writes.register_worker(db, worker_id, agent, lock_path, now))

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply a worker's operations in order, in one transaction, with the worker's new applied sequence."""
        return await self._write(lambda db, now: writes.apply(db, worker_id, operations, now))

    async def create(self, task: Task) -> Change | Task:
        """Record a submitted task, or return the one that its idempotency key has made."""
        return await self._write(lambda db, now: writes.create(db, task, now))

    async def request_cancel(self, task_id: int) -> tuple[Task, Change | None]:
        """Record a request to cancel; no change when there was one already."""
        return await self._write(lambda db, now: writes.request_cancel(db, task_id, now))

    async def lose_worker(self, worker_id: str, reason: StateReason, message: str) -> Sequence[Change]:
        """End every task that the worker holds."""
        return await self._write(lambda db, now: writes.lose_worker(db, worker_id, reason, message, now))

    async def holders(self) -> Sequence[Worker]:
        """Return the workers that hold a task which is not terminal and was started."""
        return await self._reader.do(reads.holders)

    async def get(self, task_id: int) -> Task:
        """Return a task. Raises TaskNotFound."""
        return await self._reader.do(lambda db: reads.get(db, task_id))

    async def list(
        self, which: TaskFilter, limit: int, after: Position | None = None, *, full: bool = False
    ) -> Sequence[Task]:
        """Return up to ``limit`` tasks, newest first, strictly after ``after``."""
        return await self._reader.do(lambda db: reads.list_tasks(db, which, limit, after, full))

    async def submitted(self, agent: str, task_types: Sequence[str], limit: int) -> Sequence[Task]:
        """Return tasks of the agent that wait for a worker of these types, the oldest first, with their input."""
        return await self._reader.do(lambda db: reads.submitted(db, agent, task_types, limit))

    async def events(self, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        """Return up to ``limit`` events of a task after a generation, in order. Raises TaskNotFound."""
        return await self._reader.do(lambda db: reads.events(db, task_id, after_generation, limit))

    async def close(self) -> None:
        """Finish what is under way and let the file go: the last to close it folds the write-ahead log into it."""
        await self._reader.stop()
        await self._writer.stop()

    async def _write(self, work: Callable[[sqlite3.Connection, datetime], T]) -> T:
        return await self._writer.do(lambda db: work(db, self._now()))
