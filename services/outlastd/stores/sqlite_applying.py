"""Applies the operations of workers on SQLite: decided by what this process knows, and compared when it is written.

What is known is what was written last (active_tasks.py); another process may have changed it. So the rows are ready
when the writing thread gets them. That thread needs the interpreter little: each time that it waits for it, a busy
services' loop keeps it for up to 5 ms, and everybody who waits for the disk waits with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from weakref import WeakValueDictionary

from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import worker_writes
from outlastd.stores.active_tasks import ActiveTasks
from outlastd.stores.advance import Advance
from outlastd.stores.database import answer_for
from outlastd.stores.deciding import Decision, newest
from outlastd.stores.port import Applied
from outlastd.stores.thread import ConnectionThread
from outlastd.stores.writes import Stale, rows_of


class Applier:
    """Applies batches; those of one worker one after the other, in the order in which they came."""

    def __init__(self, writer: ConnectionThread, policy: Policy, now: Callable[[], datetime]) -> None:
        self._writer = writer
        self._policy = policy
        self._now = now
        self._active = ActiveTasks()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply operations (TaskStore.apply)."""
        turn = self._turns.setdefault(worker_id, asyncio.Lock())
        async with turn:
            try:
                worker, decision = await self._apply(worker_id, operations)
            except BaseException:
                # What was written, if anything, is not known.
                self._active.forget_worker(worker_id)
                raise
        self._active.keep(newest(decision.changes))
        self._active.keep_worker(worker, decision.applied_sequence)
        return Applied(decision.changes, decision.refusals)

    def keep(self, tasks: Iterable[Task]) -> None:
        """Take note of tasks that something else than a batch has changed: of those that have ended nothing stays."""
        self._active.keep(tasks)

    def forget_worker(self, worker_id: str) -> None:
        """Have a worker's row read with its next batch: it is about to say something else of itself."""
        self._active.forget_worker(worker_id)

    async def finish(self) -> None:
        """Return when every batch that waits by now for its turn has had it."""
        for turn in list(self._turns.values()):
            async with turn:
                pass

    async def _apply(self, worker_id: str, operations: Sequence[Operation]) -> tuple[Worker, Decision]:
        now = self._now()
        known = self._active.decide(worker_id, operations, now, self._policy)
        if known is not None:
            try:
                rows = rows_of(known.decision.changes, known.stored, self._policy)
            except Exception as error:  # a value that no row can hold
                raise answer_for(error) from error
            until = worker_writes.lease(now, self._policy)
            try:
                await self._writer.do(Advance(known.worker, known.decision.applied_sequence, until, rows))
            except Stale:
                pass  # somebody else has been there: read what there is now
            else:
                return known.worker, known.decision
        return await self._writer.do(
            lambda connection: worker_writes.apply(connection, worker_id, operations, self._now(), self._policy)
        )
