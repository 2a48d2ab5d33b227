"""The PostgreSQL store: one database, for any number of machines."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.policy import DEFAULT_POLICY, Policy
from outlast.core.task import Task
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores import postgres_reads as reads
from outlastd.stores import postgres_statements as statements
from outlastd.stores import postgres_task_writes as task_writes
from outlastd.stores import postgres_worker_writes as worker_writes
from outlastd.stores.active_tasks import ActiveTasks
from outlastd.stores.losing import lose_each
from outlastd.stores.port import Applied, Census, EndedTask, Position, SessionEvent, TaskFilter
from outlastd.stores.postgres_applying import Applier
from outlastd.stores.postgres_clock import ServerClock
from outlastd.stores.postgres_connecting import first_connection, name_of
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_listening import Hints
from outlastd.stores.postgres_migrations import migrate
from outlastd.stores.postgres_pool import ConnectionPool
from outlastd.stores.postgres_sessions import PostgresSessionStore
from outlastd.stores.rows import microseconds
from outlastd.stores.store_metrics import Access

T = TypeVar("T")

_MICROSECOND = timedelta(microseconds=1)


class PostgresTaskStore:
    """A TaskStore (port.py) in a PostgreSQL database, which any number of processes share and nothing else.

    Nothing here is relied on but the database: what is known of active tasks, and the hints between processes, only
    save time. All of it lives on the loop that opened it.
    """

    def __init__(self, url: str, pool: ConnectionPool, hints: Hints, clock: ServerClock, policy: Policy) -> None:
        self.policy = policy
        self.sessions = PostgresSessionStore(url, pool, clock)
        self._pool = pool
        self._hints = hints
        self._clock = clock
        self._active = ActiveTasks()
        self._applier = Applier(pool, self._active, clock, policy)
        self._ttl = policy.lease_ttl // _MICROSECOND

    @classmethod
    async def open(
        cls, url: str, policy: Policy = DEFAULT_POLICY, now: Callable[[], datetime] | None = None
    ) -> PostgresTaskStore:
        """Open the store in a database, on the loop that will use it; its tables are made when missing.

        ``now`` replaces the database's clock, for tests.

        Raises:
            StartRefused: the database cannot be used; the message is one line that names cause and cure.
        """
        clock = ServerClock(now)
        async with first_connection(url) as connection:
            await migrate(connection, name_of(url))
            asked = time.monotonic()
            clock.sample(await connection.fetchval(statements.GET_CLOCK), asked)
        return cls(url, await ConnectionPool.open(url), Hints(url), clock, policy)

    # -- workers and their operations ------------------------------------------------------------------

    async def register_worker(self, registration: Registration) -> Worker:
        """Return the worker's row, with a fresh lease and what the registration says."""
        injected = self._clock.injected
        worker = await self._do(lambda db: worker_writes.register_worker(db, registration, injected, self._ttl))
        self._active.keep_worker(worker)
        return worker

    async def renew(self, renewals: Sequence[Renewal]) -> frozenset[str]:
        """Renew leases, and note which workers drain; return the ids of those whose epoch is still theirs."""
        return await self._do(lambda db: worker_writes.renew(db, renewals, self._clock.injected, self._ttl))

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply a worker's operations in order, in one transaction, with the worker's new applied sequence."""
        return await self._applier.apply(worker_id, operations)

    async def claim(self, worker_id: str, epoch: int, limit: int) -> Sequence[Change]:
        """Give a worker up to ``limit`` submitted tasks, the oldest first."""
        if limit <= 0:
            return []
        changes = await self._pool.run(
            lambda db, tried: worker_writes.claim(db, worker_id, epoch, limit, self._clock.now(), self.policy, tried)
        )
        self._active.keep(change.task for change in changes)
        return changes

    async def held(self, worker_id: str, *, full: bool = False) -> Sequence[Task]:
        """Return the tasks that the worker holds under its epoch and that have not ended, the oldest first."""
        return await self._read(lambda db: reads.held(db, worker_id, full))

    async def expire_workers(self, spare: frozenset[str], as_of: datetime | None = None) -> Sequence[Change]:
        """Do what ``lose_worker`` does to workers whose lease has run out (by ``as_of``), but to ``spare``."""
        by = None if as_of is None else microseconds(as_of)
        injected = self._clock.injected
        expired = await self._do(lambda db: worker_writes.expired_workers(db, spare, by, injected))
        return await lose_each(
            expired,
            lambda worker_id: self._change(
                lambda db, now: worker_writes.expire_worker(db, worker_id, by, injected, now, self.policy)
            ),
        )

    async def lose_worker(self, worker_id: str, epoch: int, message: str) -> Sequence[Change]:
        """Take a worker's lease and every task that it holds; nothing on another epoch."""
        injected = self._clock.injected
        return await self._change(
            lambda db, now: worker_writes.lose_worker(db, worker_id, epoch, message, injected, now, self.policy)
        )

    async def living_workers(self) -> Sequence[Worker]:
        """Return the workers whose lease nobody has taken away, by epoch."""
        return await self._read(reads.living_workers)

    # -- tasks -----------------------------------------------------------------------------------------

    async def create(self, task: Task, caller: str = "") -> Change | Task:
        """Record a submitted task, or return the one that its idempotency key has made."""
        return await self._do(lambda db: task_writes.create(db, task, caller, self._clock.now(), self.policy))

    async def request_cancel(
        self, task_id: int, *, force: bool = False, grace: timedelta | None = None
    ) -> tuple[Task, Change | None]:
        """Record a request to cancel; no change when there was one already."""
        task, change = await self._do(
            lambda db: task_writes.request_cancel(db, task_id, force, grace, self._clock.now(), self.policy)
        )
        self._active.keep([task])
        return task, change

    async def end_overdue(self, limit: int) -> Sequence[Change]:
        """End up to ``limit`` tasks that have waited too long."""
        return await self._change(lambda db, now: task_writes.end_overdue(db, limit, now, self.policy))

    async def cancel_requests(self, worker_ids: Iterable[str]) -> Sequence[Task]:
        """Return the tasks that these workers hold and somebody has asked to cancel."""
        ids = list(worker_ids)
        return await self._read(lambda db: reads.cancel_requests(db, ids)) if ids else []

    async def get(self, task_id: int) -> Task:
        """Return a task. Raises TaskNotFound."""
        return await self._read(lambda db: reads.get(db, task_id))

    async def list(
        self, which: TaskFilter, limit: int, after: Position | None = None, *, full: bool = False
    ) -> Sequence[Task]:
        """Return up to ``limit`` tasks, newest first, strictly after ``after``."""
        return await self._read(lambda db: reads.list_tasks(db, which, limit, after, full))

    async def census(self) -> Sequence[Census]:
        """Count the tasks that have not ended, by agent and state."""
        return await self._read(lambda db: reads.census(db, self._clock.now()))

    async def delete(self, task_id: int) -> None:
        """Delete a terminal task with its events. Raises TaskNotFound, IllegalTransition."""
        await self._do(lambda db: task_writes.delete(db, task_id))

    async def delete_expired(self, limit: int) -> int:
        """Delete up to ``limit`` terminal tasks whose time has come, and what else is of no use any more."""
        return await self._do(lambda db: task_writes.delete_expired(db, limit, self._clock.now()))

    # -- events ----------------------------------------------------------------------------------------

    async def events(self, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        """Return up to ``limit`` events of a task after a generation, in order. Raises TaskNotFound."""
        return await self._read(lambda db: reads.events(db, task_id, after_generation, limit))

    async def session_events(
        self, session_id: str, after: str, limit: int, *, agent: str = ""
    ) -> Sequence[SessionEvent]:
        """Return up to ``limit`` events of a session's tasks after a cursor, in commit order."""
        return await self._read(lambda db: reads.session_events(db, session_id, after, limit, agent))

    def announce(self, task_ids: Iterable[int]) -> None:
        """Hint to the other processes on this database that tasks have changed."""
        self._hints.announce(task_ids)

    def hints(self) -> AsyncGenerator[frozenset[int] | None, None]:
        """Give the tasks that other processes have changed, or None when any may have."""
        return self._hints.hints()

    # -- the span outbox -------------------------------------------------------------------------------

    async def claim_spans(self, limit: int, seconds: float) -> Sequence[EndedTask]:
        """Return up to ``limit`` tasks whose spans wait for export, and keep others from them for ``seconds``."""
        return await self._do(lambda db: task_writes.claim_spans(db, limit, seconds, self._clock.now()))

    async def drop_spans(self, task_ids: Iterable[int]) -> None:
        """Take tasks off the outbox: their spans are exported."""
        ids = list(task_ids)
        await self._do(lambda db: db.execute(statements.DROP_FROM_OUTBOX, ids))

    # ---------------------------------------------------------------------------------------------------

    async def clock(self) -> datetime:
        """Return the time by the database's clock."""
        if self._clock.injected is not None:
            return self._clock.now()
        return await self._read(self._ask_clock)

    async def close(self) -> None:
        """Finish what is under way and let the database go."""
        await self._hints.close()
        await self._pool.close()
        await self.sessions.release()

    async def _ask_clock(self, connection: Connection) -> datetime:
        asked = time.monotonic()
        said: int = await connection.fetchval(statements.GET_CLOCK)
        return self._clock.sample(said, asked)

    async def _do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._pool.run(lambda connection, _: work(connection))

    async def _read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._pool.run(lambda connection, _: work(connection), Access.READ)

    async def _change(self, work: Callable[[Connection, datetime], Awaitable[Sequence[Change]]]) -> Sequence[Change]:
        """Run work whose changes are to tasks that operations may come for next."""
        changes = await self._do(lambda db: work(db, self._clock.now()))
        self._active.keep(change.task for change in changes)
        return changes
