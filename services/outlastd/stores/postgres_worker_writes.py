"""What workers, and the ends of their leases, change on PostgreSQL. A worker's row is locked before its tasks' are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from outlast.core import lifecycle
from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores import postgres_reads as reads
from outlastd.stores import postgres_statements as statements
from outlastd.stores.losing import EXPIRED_AT_ONCE, lost, ran_out
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_writing import Stale, write
from outlastd.stores.rows import WORKER_COLUMNS, microseconds, task_from_row, task_types_value, worker_from_row


async def register_worker(connection: Connection, registration: Registration, injected: int | None, ttl: int) -> Worker:
    """Return the worker's row with a fresh lease, made with the next epoch when there is none."""
    said = (
        registration.worker_id,
        registration.agent,
        registration.lock_path,
        registration.session_id,
        task_types_value(registration.task_types),
        registration.draining,
        injected,
        ttl,
    )
    row = await connection.fetchrow(statements.UPDATE_WORKER, *said)
    row = row or await connection.fetchrow(statements.INSERT_WORKER, *said)
    if row is None:  # somebody else has made it in between
        raise Stale
    return worker_from_row(row)


async def renew(connection: Connection, renewals: Sequence[Renewal], injected: int | None, ttl: int) -> frozenset[str]:
    """Renew leases; return the ids of the workers whose epoch is still theirs."""
    ids = [renewal.worker_id for renewal in renewals]
    epochs = [renewal.epoch for renewal in renewals]
    draining = [renewal.draining for renewal in renewals]
    rows = await connection.fetch(statements.RENEW_LEASES, ids, epochs, draining, injected, ttl)
    return frozenset(worker_id for (worker_id,) in rows)


async def claim(
    connection: Connection, worker_id: str, epoch: int, limit: int, now: datetime, policy: Policy, tried: int = 0
) -> Sequence[Change]:
    """Give a worker submitted tasks that it can run, the oldest first of those that nobody else is at.

    At the first try as if there were nobody else, in two round trips; then with everything locked, in five.
    """
    if tried:
        async with connection.transaction():
            return await _claim_locked(connection, worker_id, epoch, limit, now, policy)
    rows = await connection.fetch(statements.GET_CLAIMABLE, worker_id, epoch, microseconds(now), limit)
    width = len(WORKER_COLUMNS)
    tasks = [task_from_row(row[width:]) for row in rows if row[width] is not None]
    if not tasks:
        return []
    worker = worker_from_row(rows[0][:width])
    changes = [lifecycle.claim(task, worker, now) for task in sorted(tasks, key=_age)]
    await write(connection, changes, {task.task_id: task for task in tasks}, policy, claimer=worker)
    return changes


async def _claim_locked(
    connection: Connection, worker_id: str, epoch: int, limit: int, now: datetime, policy: Policy
) -> Sequence[Change]:
    worker = await reads.find_worker(connection, worker_id, statements.SHARE_WORKER)
    if worker is None or worker.epoch != epoch or worker.draining or not worker.task_types:
        return []
    rows = await connection.fetch(
        statements.LOCK_CLAIMABLE,
        worker.agent,
        sorted(worker.task_types),
        worker.session_id,
        microseconds(now),
        limit,
    )
    stored = {task.task_id: task for task in map(task_from_row, rows)}
    changes = [lifecycle.claim(task, worker, now) for task in stored.values()]
    if changes:
        await write(connection, changes, stored, policy, alone=False)
    return changes


async def expired_workers(
    connection: Connection, spare: frozenset[str], by: int | None, injected: int | None
) -> Sequence[str]:
    """Return the ids of workers whose lease has run out, by a time where one is given, but those to spare."""
    rows = await connection.fetch(statements.GET_EXPIRED_WORKERS, sorted(spare), by, injected, EXPIRED_AT_ONCE)
    return [worker_id for (worker_id,) in rows]


async def expire_worker(
    connection: Connection, worker_id: str, by: int | None, injected: int | None, now: datetime, policy: Policy
) -> Sequence[Change]:
    """Take a worker's lease, if it has run out, and every task held under it; nothing when somebody else is at it."""
    async with connection.transaction():
        row = await connection.fetchrow(statements.LOCK_EXPIRED_WORKER, worker_id, by, injected)
        return (
            []
            if row is None
            else await _lose(connection, worker_id, ran_out(worker_from_row(row)), injected, now, policy)
        )


async def lose_worker(
    connection: Connection,
    worker_id: str,
    epoch: int,
    message: str,
    injected: int | None,
    now: datetime,
    policy: Policy,
) -> Sequence[Change]:
    """Take a worker's lease and every task that it holds, unless it has another epoch by now."""
    async with connection.transaction():
        worker = await reads.find_worker(connection, worker_id, statements.LOCK_WORKER)
        if worker is None or worker.epoch != epoch:
            return []
        return await _lose(connection, worker_id, message, injected, now, policy)


def _age(task: Task) -> tuple[datetime, int]:
    assert task.created_at is not None, "a stored task has its create time"
    return task.created_at, task.task_id


async def _lose(
    connection: Connection, worker_id: str, message: str, injected: int | None, now: datetime, policy: Policy
) -> Sequence[Change]:
    rows = await connection.fetch(statements.LOCK_HELD, worker_id)
    held = {task.task_id: task for task in map(task_from_row, rows)}
    changes = lost(held.values(), message, now, policy)
    if changes:
        await write(connection, changes, held, policy, alone=False)
    await connection.execute(statements.LOSE_LEASE, worker_id, injected)
    return changes
