"""The SQLite store: one file, for one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.policy import DEFAULT_POLICY, Policy
from outlast.core.task import Task
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores import reads, task_writes, worker_writes
from outlastd.stores.database import connect_to_read
from outlastd.stores.losing import lose_each
from outlastd.stores.port import Applied, Census, EndedTask, Position, SessionEvent, TaskFilter
from outlastd.stores.sqlite_applying import Applier
from outlastd.stores.sqlite_sessions import SQLiteSessionStore
from outlastd.stores.store_metrics import store_metrics
from outlastd.stores.thread import ConnectionThread
from outlastd.stores.writer import Writer

T = TypeVar("T")

#: Seconds between two looks for what other processes have written, while somebody wants to know.
HINT_INTERVAL = 0.2


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class SQLiteTaskStore:
    """A TaskStore (port.py) in a SQLite file. Several processes of one machine may share the file.

    Two threads do all the work: ``outlast-store`` writes, and commits all that waits with one fsync;
    ``outlast-store-read`` reads, and never waits for the disk of a write. What a write has answered, a read sees.
    """

    def __init__(
        self,
        path: Path,
        writer: ConnectionThread,
        reader: ConnectionThread,
        policy: Policy,
        now: Callable[[], datetime],
    ) -> None:
        self.policy = policy
        self.sessions = SQLiteSessionStore(path, writer, reader, now)
        self._writer = writer
        self._reader = reader
        self._now = now
        self._applier = Applier(writer, policy, now)
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path, policy: Policy = DEFAULT_POLICY, now: Callable[[], datetime] | None = None
    ) -> SQLiteTaskStore:
        """Open the store in a file, on the loop that will use it; the file and its folder are made when missing.

        ``now`` is the store's clock, the machine's when it is None; it is called on the loop and on the writer's
        thread.

        Raises:
            StartRefused: the file cannot be used; the message is one line that names cause and cure.
        """
        metrics = store_metrics("sqlite")
        writing, serve_reads = Writer(path, metrics), partial(reads.read_each, metrics)
        writer = ConnectionThread("outlast-store", writing.connect, writing.serve, metrics=metrics)
        reader = ConnectionThread("outlast-store-read", partial(connect_to_read, path), serve_reads, metrics=metrics)
        await writer.start()
        try:
            await reader.start()
        except BaseException:
            await writer.stop()
            raise
        return cls(path, writer, reader, policy, utc_now if now is None else now)

    async def register_worker(self, registration: Registration) -> Worker:
        """Return the worker's row, with a fresh lease and what the registration says."""
        self._applier.forget_worker(registration.worker_id)
        return await self._write(lambda db, now: worker_writes.register_worker(db, registration, now, self.policy))

    async def renew(self, renewals: Sequence[Renewal]) -> frozenset[str]:
        """Renew leases; return the ids of the workers whose epoch is still theirs."""
        return await self._write(lambda db, now: worker_writes.renew(db, renewals, now, self.policy))

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply a worker's operations in order, in one transaction, with the worker's new applied sequence."""
        return await self._applier.apply(worker_id, operations)

    async def claim(self, worker_id: str, epoch: int, limit: int) -> Sequence[Change]:
        """Give a worker up to ``limit`` submitted tasks of its agent, types and session."""
        return await self._change(lambda db, now: worker_writes.claim(db, worker_id, epoch, limit, now, self.policy))

    async def held(self, worker_id: str, *, full: bool = False) -> Sequence[Task]:
        """Return the tasks that the worker holds under its epoch and that have not ended, the oldest first."""
        return await self._reader.do(lambda db: reads.held(db, worker_id, full))

    async def expire_workers(self, spare: frozenset[str], as_of: datetime | None = None) -> Sequence[Change]:
        """Take leases that have run out, but those of ``spare``, and the tasks held under them."""
        expired = await self._write(lambda db, now: worker_writes.expired_workers(db, spare, min(as_of or now, now)))
        return await lose_each(
            expired,
            lambda worker_id: self._change(
                lambda db, now: worker_writes.expire_worker(db, worker_id, min(as_of or now, now), now, self.policy)
            ),
        )

    async def lose_worker(self, worker_id: str, epoch: int, message: str) -> Sequence[Change]:
        """Take a worker's lease and every task that it holds; nothing on another epoch."""
        return await self._change(
            lambda db, now: worker_writes.lose_worker(db, worker_id, epoch, message, now, self.policy)
        )

    async def living_workers(self) -> Sequence[Worker]:
        """Return the workers whose lease nobody has taken away, by epoch."""
        return await self._reader.do(reads.living_workers)

    async def create(self, task: Task, caller: str = "") -> Change | Task:
        """Record a submitted task, or return the one that its idempotency key has made."""
        return await self._write(lambda db, now: task_writes.create(db, task, caller, now, self.policy))

    async def request_cancel(
        self, task_id: int, *, force: bool = False, grace: timedelta | None = None
    ) -> tuple[Task, Change | None]:
        """Record a request to cancel; no change when there was one already."""
        task, change = await self._write(
            lambda db, now: task_writes.request_cancel(db, task_id, force, grace, now, self.policy)
        )
        self._applier.keep([task])
        return task, change

    async def end_overdue(self, limit: int) -> Sequence[Change]:
        """End up to ``limit`` tasks that have waited too long."""
        return await self._change(lambda db, now: task_writes.end_overdue(db, limit, now, self.policy))

    async def cancel_requests(self, worker_ids: Iterable[str]) -> Sequence[Task]:
        """Return the tasks that these workers hold and somebody has asked to cancel."""
        ids = list(worker_ids)
        return await self._reader.do(lambda db: reads.cancel_requests(db, ids))

    async def get(self, task_id: int) -> Task:
        """Return a task. Raises TaskNotFound."""
        return await self._reader.do(lambda db: reads.get(db, task_id))

    async def list(
        self, which: TaskFilter, limit: int, after: Position | None = None, *, full: bool = False
    ) -> Sequence[Task]:
        """Return up to ``limit`` tasks, newest first, strictly after ``after``."""
        return await self._reader.do(lambda db: reads.list_tasks(db, which, limit, after, full))

    async def census(self) -> Sequence[Census]:
        """Count the tasks that have not ended, by agent and state."""
        return await self._reader.do(lambda db: reads.census(db, self._now()))

    async def delete(self, task_id: int) -> None:
        """Delete a terminal task with its events. Raises TaskNotFound, IllegalTransition."""
        await self._write(lambda db, _: task_writes.delete(db, task_id))

    async def delete_expired(self, limit: int) -> int:
        """Delete what is kept no longer; return how many tasks."""
        return await self._write(lambda db, now: task_writes.delete_expired(db, limit, now))

    async def events(self, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        """Return up to ``limit`` events of a task after a generation, in order. Raises TaskNotFound."""
        return await self._reader.do(lambda db: reads.events(db, task_id, after_generation, limit))

    async def session_events(
        self, session_id: str, after: str, limit: int, *, agent: str = ""
    ) -> Sequence[SessionEvent]:
        """Return up to ``limit`` events of a session's tasks after a cursor, in commit order."""
        return await self._reader.do(lambda db: reads.session_events(db, session_id, after, limit, agent))

    def announce(self, task_ids: Iterable[int]) -> None:
        """Do nothing: the file itself tells other processes that it has changed."""

    async def hints(self) -> AsyncGenerator[frozenset[int] | None, None]:
        """Give None whenever another process has written to the file; end with the store."""
        seen = read = None
        while not self._closed:
            try:
                now_read = await self._reader.do(reads.data_version)
                if now_read != read:
                    # What the reader sees may be this store's own writing. The writer's connection tells the others'.
                    now_seen = await self._writer.do(reads.data_version)
                    if seen not in (None, now_seen):
                        yield None
                    read, seen = now_read, now_seen
            except StoreUnavailable:
                pass  # what it was will be seen next time
            await asyncio.sleep(HINT_INTERVAL)

    async def claim_spans(self, limit: int, seconds: float) -> Sequence[EndedTask]:
        """Return up to ``limit`` tasks whose spans wait for export, and let nobody else have them for ``seconds``."""
        return await self._write(lambda db, now: task_writes.claim_spans(db, limit, seconds, now))

    async def drop_spans(self, task_ids: Iterable[int]) -> None:
        """Take tasks off the outbox: their spans are exported."""
        ids = list(task_ids)
        await self._write(lambda db, _: task_writes.drop_spans(db, ids))

    async def clock(self) -> datetime:
        """Return the time by the machine's clock, which is the database's."""
        return self._now()

    async def close(self) -> None:
        """Finish what is under way and let the file go: the last to close it folds the write-ahead log into it."""
        self._closed = True
        await self._applier.finish()
        await self._reader.stop()
        await self._writer.stop()
        await self.sessions.release()

    async def _write(self, work: Callable[[sqlite3.Connection, datetime], T]) -> T:
        return await self._writer.do(lambda db: work(db, self._now()))

    async def _change(self, work: Callable[[sqlite3.Connection, datetime], Sequence[Change]]) -> Sequence[Change]:
        """Do work whose changes are to tasks that operations may come for next."""
        changes = await self._write(work)
        self._applier.keep(change.task for change in changes)
        return changes
