"""What each mutation does inside its transaction, on SQLite.

Every function loads the tasks that it touches, has ``outlast.core.lifecycle`` decide, and writes one row a task and one
row an event. None of them begins or commits: the writer does, for many at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from outlast.core import lifecycle
from outlast.core.errors import (
    IdempotencyConflict,
    OutlastError,
    StoreUnavailable,
    TaskExists,
    TaskNotFound,
)
from outlast.core.event import Change
from outlast.core.operation import Operation
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import statements
from outlastd.stores.port import Applied
from outlastd.stores.rows import (
    changing_values,
    event_values,
    fixed_values,
    microseconds,
    task_from_row,
    worker_from_row,
)


def register_worker(
    connection: sqlite3.Connection, worker_id: str, agent: str, lock_path: str, now: datetime
) -> Worker:
    """Return the worker's row, made with the next epoch when there is none."""
    known = _find_worker(connection, worker_id)
    if known is not None:
        return known
    connection.execute(statements.ADVANCE_EPOCH)
    (epoch,) = connection.execute(statements.GET_EPOCH).fetchone()
    connection.execute(statements.INSERT_WORKER, (worker_id, agent, epoch, 0, lock_path, microseconds(now)))
    return Worker(worker_id, agent, epoch, lock_path=lock_path)


def apply(connection: sqlite3.Connection, worker_id: str, operations: Sequence[Operation], now: datetime) -> Applied:
    """Apply a worker's operations that were not applied before, and its new applied sequence with them."""
    worker = _find_worker(connection, worker_id)
    if worker is None:
        raise StoreUnavailable(f"worker {worker_id} is not registered with this store")
    applied = worker.applied_sequence
    stored = _get_tasks(connection, {operation.task_id for operation in operations if operation.sequence > applied})
    current = dict(stored)
    changes: list[Change] = []
    refusals: dict[int, OutlastError] = {}
    for operation in operations:
        if operation.sequence <= applied:
            continue
        applied = operation.sequence
        try:
            change = lifecycle.apply_operation(current.get(operation.task_id), operation, worker, now)
        except OutlastError as refusal:
            refusals[operation.sequence] = refusal
        else:
            current[operation.task_id] = change.task
            changes.append(change)
    _write(connection, changes, stored)
    if applied != worker.applied_sequence:
        connection.execute(statements.UPDATE_APPLIED_SEQUENCE, (applied, worker_id))
    return Applied(changes, refusals)


def create(connection: sqlite3.Connection, task: Task, now: datetime) -> Change | Task:
    """Record a submitted task, or return the one that its idempotency key has made."""
    if task.idempotency_key:
        key = (task.agent, task.idempotency_key)
        row = connection.execute(statements.GET_BY_IDEMPOTENCY_KEY, key).fetchone()
        if row is not None:
            made = task_from_row(row)
            if _request(made) != _request(task):
                raise IdempotencyConflict(task.idempotency_key, made.task_id)
            return made
    if connection.execute(statements.TASK_EXISTS, (task.task_id,)).fetchone() is not None:
        raise TaskExists(task.task_id)
    change = lifecycle.submit(task, now)
    _write(connection, [change], ())
    return change


def request_cancel(connection: sqlite3.Connection, task_id: int, now: datetime) -> tuple[Task, Change | None]:
    """Record a request to cancel, unless there was one already."""
    row = connection.execute(statements.GET_TASK, (task_id,)).fetchone()
    if row is None:
        raise TaskNotFound(task_id)
    task = task_from_row(row)
    change = lifecycle.request_cancel(task, now)
    if change is None:
        return task, None
    _write(connection, [change], (task_id,))
    return change.task, change


def lose_worker(
    connection: sqlite3.Connection, worker_id: str, reason: StateReason, message: str, now: datetime
) -> Sequence[Change]:
    """End every task that the worker holds."""
    held = [task_from_row(row) for row in connection.execute(statements.GET_HELD, (worker_id,))]
    changes = [lifecycle.lose(task, reason, message, now) for task in held]
    _write(connection, changes, {task.task_id for task in held})
    return changes


def _find_worker(connection: sqlite3.Connection, worker_id: str) -> Worker | None:
    row = connection.execute(statements.GET_WORKER, (worker_id,)).fetchone()
    return None if row is None else worker_from_row(row)


def _get_tasks(connection: sqlite3.Connection, task_ids: Iterable[int]) -> dict[int, Task]:
    rows = connection.execute(statements.GET_TASKS, (orjson.dumps(list(task_ids)),))
    return {task.task_id: task for task in map(task_from_row, rows)}


def _write(connection: sqlite3.Connection, changes: Sequence[Change], stored: Iterable[int]) -> None:
    """Write each task as its newest change leaves it, and every event. ``stored`` are the ids of rows that exist."""
    newest = {change.task.task_id: change.task for change in changes}
    known = newest.keys() & set(stored)
    connection.executemany(
        statements.INSERT_TASK,
        [(*fixed_values(task), *changing_values(task)) for task in newest.values() if task.task_id not in known],
    )
    connection.executemany(
        statements.UPDATE_TASK,
        [(*changing_values(task), task.task_id) for task in newest.values() if task.task_id in known],
    )
    connection.executemany(statements.INSERT_EVENT, [event_values(change.event) for change in changes])


def _request(task: Task) -> tuple[object, ...]:
    """Return what must be the same for a repeated request to be the same request."""
    return task.task_type, task.input, task.session_id, task.labels
