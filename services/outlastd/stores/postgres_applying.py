"""Applies the operations of workers: in one round trip where nobody else has touched their tasks meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from outlast.core.errors import StoreRefused, StoreUnavailable
from outlast.core.event import Change
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import postgres_reads as reads
from outlastd.stores.active_tasks import ActiveTasks
from outlastd.stores.deciding import Decided, decide, newest
from outlastd.stores.port import Applied
from outlastd.stores.postgres_clock import ServerClock
from outlastd.stores.postgres_connecting import answer_for
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_grouping import Groups, Part
from outlastd.stores.postgres_pool import ConnectionPool, Contended
from outlastd.stores.postgres_writing import Advance, Advances, write

_MICROSECOND = timedelta(microseconds=1)
#: How often a group is tried: by what is known here, and by what is read. Who is in the way then is in that of one.
_TRIES = 2


class Applier:
    """Decides batches by what this store knows of their workers and tasks, and has the database compare.

    What differs there is read, and decided anew. Batches of several workers are written together; what would keep the
    others of them is tried alone.
    """

    def __init__(self, pool: ConnectionPool, active: ActiveTasks, clock: ServerClock, policy: Policy) -> None:
        self._pool = pool
        self._active = active
        self._clock = clock
        self._policy = policy
        self._groups = Groups(pool, self._together, self._alone)

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply operations (TaskStore.apply)."""
        return await self._groups.apply(worker_id, operations)

    async def _together(self, parts: Sequence[Part]) -> Sequence[Part]:
        try:
            await self._apply(parts, _TRIES, wait=False)
        except (Contended, StoreRefused) as error:
            if len(parts) == 1 and isinstance(error, StoreRefused):
                raise
            return parts
        return ()

    async def _alone(self, parts: Sequence[Part]) -> Sequence[Part]:
        await self._apply(parts, None, wait=True)
        return ()

    async def _apply(self, parts: Sequence[Part], tries: int | None, *, wait: bool) -> None:
        try:
            outcomes = await self._pool.do(
                lambda connection, tried: self._try(connection, parts, tried, wait), max_tries=tries
            )
        except BaseException:
            # What was written, if anything, is not known.
            for part in parts:
                self._active.forget_worker(part.worker_id)
            raise
        for part, outcome in zip(parts, outcomes, strict=True):
            part.end(outcome)

    async def _try(
        self, connection: Connection, parts: Sequence[Part], tried: int, wait: bool
    ) -> Sequence[Applied | Exception]:
        """Return what became of each part: of those that cannot be applied at all, why."""
        found: list[Decided | Exception | None] = [None if tried else self._known(part) for part in parts]
        unknown = [number for number, decided in enumerate(found) if decided is None]
        if unknown:
            read = await self._read(connection, [parts[number] for number in unknown])
            for number, decided in zip(unknown, read, strict=True):
                found[number] = decided
        await self._write(connection, [decided for decided in found if isinstance(decided, Decided)], wait)
        return [_outcome(decided) for decided in found]

    async def _write(self, connection: Connection, batches: Sequence[Decided], wait: bool) -> None:
        """Write what was decided for the batches, in one transaction."""
        if not batches:
            return
        ttl = self._policy.lease_ttl // _MICROSECOND
        each = [Advance(batch.worker, batch.decision.applied_sequence) for batch in batches]
        each.sort(key=_worker_id)  # whoever locks several does it in this order
        changes: list[Change] = []
        stored: dict[int, Task] = {}
        for batch in batches:
            changes += batch.decision.changes
            stored |= batch.stored
        asked = time.monotonic()
        advances = Advances(each, ttl, self._clock.injected, wait)
        said = await write(connection, changes, stored, self._policy, advances=advances)
        self._clock.sample(said, asked)
        self._active.keep(newest(changes))
        for batch in batches:
            self._active.keep_worker(batch.worker, batch.decision.applied_sequence)

    def _known(self, part: Part) -> Decided | Exception | None:
        """Decide by what is known here; None when that is not enough."""
        try:
            return self._active.decide(part.worker_id, part.operations, self._clock.now(), self._policy)
        except Exception as error:  # of this batch, and no reason to fail the others
            return answer_for(error)

    async def _read(self, connection: Connection, parts: Sequence[Part]) -> Sequence[Decided | Exception]:
        """Decide by what the database has."""
        workers = await reads.get_workers(connection, [part.worker_id for part in parts])
        known = [(part, workers[part.worker_id]) for part in parts if part.worker_id in workers]
        task_ids = {operation.task_id for part, worker in known for operation in _new(worker, part.operations)}
        stored = await reads.get_tasks(connection, task_ids)
        decided: list[Decided | Exception] = []
        for part in parts:
            worker = workers.get(part.worker_id)
            if worker is None:
                decided.append(StoreUnavailable(f"worker {part.worker_id} is not registered with this store"))
            else:
                named = {operation.task_id for operation in part.operations}
                theirs = {task_id: stored[task_id] for task_id in named if task_id in stored}
                decided.append(self._decide(worker, theirs, part.operations))
        return decided

    def _decide(
        self, worker: Worker, stored: Mapping[int, Task], operations: Sequence[Operation]
    ) -> Decided | Exception:
        try:
            return Decided(worker, stored, decide(worker, stored, operations, self._clock.now(), self._policy))
        except Exception as error:  # of this batch, and no reason to fail the others
            return answer_for(error)


def _outcome(decided: Decided | Exception | None) -> Applied | Exception:
    assert decided is not None
    if isinstance(decided, Exception):
        return decided
    return Applied(decided.decision.changes, decided.decision.refusals)


def _worker_id(advance: Advance) -> str:
    return advance.worker.worker_id


def _new(worker: Worker, operations: Sequence[Operation]) -> Sequence[Operation]:
    return [operation for operation in operations if operation.sequence > worker.applied_sequence]
