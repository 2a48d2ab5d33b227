"""Applies the operations of workers: in one round trip where nobody else has touched their tasks meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from weakref import WeakValueDictionary

from outlast.core.errors import StoreUnavailable
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import postgres_reads as reads
from outlastd.stores import postgres_statements as statements
from outlastd.stores.deciding import Decision, decide, newest
from outlastd.stores.port import Applied
from outlastd.stores.postgres_active import ActiveTasks
from outlastd.stores.postgres_clock import ServerClock
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_pool import ConnectionPool
from outlastd.stores.postgres_writing import Advance, write

_MICROSECOND = timedelta(microseconds=1)


class Applier:
    """Decides a batch by what this store knows of its worker and tasks, and has the database compare.

    What differs there is read, and the batch decided anew. The batches of one worker go one after the other, in the
    order in which they came.
    """

    def __init__(self, pool: ConnectionPool, active: ActiveTasks, clock: ServerClock, policy: Policy) -> None:
        self._pool = pool
        self._active = active
        self._clock = clock
        self._policy = policy
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply operations (TaskStore.apply)."""
        turn = self._turns.setdefault(worker_id, asyncio.Lock())
        async with turn:
            try:
                return await self._pool.do(
                    lambda connection, tries: self._try(connection, worker_id, operations, tries)
                )
            except BaseException:
                # What was written, if anything, is not known.
                self._active.forget_worker(worker_id)
                raise

    async def _try(
        self, connection: Connection, worker_id: str, operations: Sequence[Operation], tries: int
    ) -> Applied:
        known = self._known(worker_id, operations) if not tries else None
        worker, stored, decision = known or await self._read(connection, worker_id, operations)
        advance = Advance(
            worker, decision.applied_sequence, self._policy.lease_ttl // _MICROSECOND, self._clock.injected
        )
        asked = time.monotonic()
        said = await write(connection, decision.changes, stored, self._policy, advance=advance)
        self._clock.sample(said, asked)
        self._active.keep(newest(decision.changes))
        self._active.keep_worker(worker, decision.applied_sequence)
        return Applied(decision.changes, decision.refusals)

    def _known(
        self, worker_id: str, operations: Sequence[Operation]
    ) -> tuple[Worker, dict[int, Task], Decision] | None:
        """Decide by what is known here; None when that is not enough.

        A refusal is never given by it: what looks like one may be a task that another process has changed.
        """
        worker = self._active.worker(worker_id)
        if worker is None:
            return None
        stored = self._active.expected(_new(worker, operations))
        if stored is None:
            return None
        decision = decide(worker, stored, operations, self._clock.now(), self._policy)
        return None if decision.refusals else (worker, stored, decision)

    async def _read(
        self, connection: Connection, worker_id: str, operations: Sequence[Operation]
    ) -> tuple[Worker, dict[int, Task], Decision]:
        worker = await reads.find_worker(connection, worker_id, statements.GET_WORKER)
        if worker is None:
            raise StoreUnavailable(f"worker {worker_id} is not registered with this store")
        new = {operation.task_id for operation in _new(worker, operations)}
        stored = await reads.get_tasks(connection, new)
        return worker, stored, decide(worker, stored, operations, self._clock.now(), self._policy)


def _new(worker: Worker, operations: Sequence[Operation]) -> Sequence[Operation]:
    return [operation for operation in operations if operation.sequence > worker.applied_sequence]
