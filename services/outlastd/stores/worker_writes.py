"""What workers, and the ends of their leases, change inside a transaction on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import orjson

from outlast.core import lifecycle
from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores import statements
from outlastd.stores.advance import Advance, write_advances
from outlastd.stores.deciding import Decision, decide, registered
from outlastd.stores.losing import EXPIRED_AT_ONCE, lost, ran_out
from outlastd.stores.rows import microseconds, task_from_row, task_types_value, worker_from_row, worker_values
from outlastd.stores.writes import get_tasks, next_epoch, rows_of, write


def register_worker(
    connection: sqlite3.Connection, registration: Registration, now: datetime, policy: Policy
) -> Worker:
    """Return the worker's row with a fresh lease, made with the next epoch when there is none."""
    known = _find_worker(connection, registration.worker_id)
    if known is None:
        fresh = Worker(registration.worker_id, registration.agent, next_epoch(connection))
        worker = registered(fresh, registration, now, policy)
        connection.execute(statements.INSERT_WORKER, (*worker_values(worker), microseconds(now)))
        return worker
    worker = registered(known, registration, now, policy)
    connection.execute(
        statements.UPDATE_WORKER,
        (
            worker.agent,
            worker.lock_path,
            worker.session_id,
            task_types_value(worker.task_types),
            worker.draining,
            lease(now, policy),
            worker.worker_id,
        ),
    )
    return worker


def renew(connection: sqlite3.Connection, renewals: Sequence[Renewal], now: datetime, policy: Policy) -> frozenset[str]:
    """Renew leases; return the ids of the workers whose epoch is still theirs."""
    until = lease(now, policy)
    return frozenset(
        renewal.worker_id
        for renewal in renewals
        if connection.execute(
            statements.RENEW_LEASE, (until, renewal.draining, renewal.worker_id, renewal.epoch)
        ).rowcount
    )


def apply(
    connection: sqlite3.Connection, worker_id: str, operations: Sequence[Operation], now: datetime, policy: Policy
) -> tuple[Worker, Decision]:
    """Apply a worker's operations that were not applied before; return the worker as it was, and what was decided."""
    worker = _find_worker(connection, worker_id)
    if worker is None:
        raise StoreUnavailable(f"worker {worker_id} is not registered with this store")
    new = {operation.task_id for operation in operations if operation.sequence > worker.applied_sequence}
    stored = get_tasks(connection, new)
    decision = decide(worker, stored, operations, now, policy)
    rows = rows_of(decision.changes, stored, policy)
    write_advances(connection, [Advance(worker, decision.applied_sequence, lease(now, policy), rows)])
    return worker, decision


def claim(
    connection: sqlite3.Connection, worker_id: str, epoch: int, limit: int, now: datetime, policy: Policy
) -> Sequence[Change]:
    """Give a worker submitted tasks that it can run, the oldest first."""
    worker = _find_worker(connection, worker_id)
    if worker is None or worker.epoch != epoch or worker.draining or not worker.task_types:
        return []
    session_id = worker.session_id
    asked = (
        worker.agent,
        task_types_value(worker.task_types),
        session_id,
        session_id,
        microseconds(now),
        max(limit, 0),
    )
    task_ids = [task_id for (task_id,) in connection.execute(statements.GET_CLAIMABLE, asked)]
    stored = get_tasks(connection, task_ids)
    changes = [lifecycle.claim(stored[task_id], worker, now) for task_id in task_ids]
    write(connection, changes, stored, policy)
    return changes


def expired_workers(connection: sqlite3.Connection, spare: frozenset[str], by: datetime) -> Sequence[str]:
    """Return the ids of workers whose lease had run out by a time, but those to spare."""
    asked = (microseconds(by), orjson.dumps(list(spare)), EXPIRED_AT_ONCE)
    return [worker_id for (worker_id,) in connection.execute(statements.GET_EXPIRED_WORKERS, asked)]


def expire_worker(
    connection: sqlite3.Connection, worker_id: str, by: datetime, now: datetime, policy: Policy
) -> Sequence[Change]:
    """Take a worker's lease, if it had run out by a time, and every task held under it."""
    worker = _find_worker(connection, worker_id)
    if worker is None or worker.lease_until is None or worker.lease_until > by:
        return []
    return _lose(connection, worker, ran_out(worker), now, policy)


def lose_worker(
    connection: sqlite3.Connection, worker_id: str, epoch: int, message: str, now: datetime, policy: Policy
) -> Sequence[Change]:
    """Take a worker's lease and every task that it holds, unless it has another epoch by now."""
    worker = _find_worker(connection, worker_id)
    if worker is None or worker.epoch != epoch:
        return []
    return _lose(connection, worker, message, now, policy)


def _lose(
    connection: sqlite3.Connection, worker: Worker, message: str, now: datetime, policy: Policy
) -> Sequence[Change]:
    rows = connection.execute(statements.GET_HELD, (worker.worker_id, worker.worker_id)).fetchall()
    held = [task_from_row(row) for row in rows]
    changes = lost(held, message, now, policy)
    write(connection, changes, {task.task_id: task for task in held}, policy)
    connection.execute(statements.LOSE_LEASE, (next_epoch(connection), microseconds(now), worker.worker_id))
    return changes


def _find_worker(connection: sqlite3.Connection, worker_id: str) -> Worker | None:
    row = connection.execute(statements.GET_WORKER, (worker_id,)).fetchone()
    return None if row is None else worker_from_row(row)


def lease(now: datetime, policy: Policy) -> int:
    """Return until when a lease holds that is renewed now."""
    return microseconds(now + policy.lease_ttl)
