"""What requests for tasks, and the time that lapses, change inside a transaction on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import orjson

from outlast.core import lifecycle
from outlast.core.errors import IdempotencyConflict, IllegalTransition, TaskExists, TaskNotFound
from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlastd.stores import statements
from outlastd.stores.deciding import WORKER_KEPT, backlog_full, ended_tasks, fingerprint, new_task
from outlastd.stores.port import EndedTask
from outlastd.stores.rows import event_from_row, microseconds, task_from_row, worker_from_row
from outlastd.stores.writes import get_tasks, write


def create(connection: sqlite3.Connection, task: Task, caller: str, now: datetime, policy: Policy) -> Change | Task:
    """Record a submitted task, or return the one that its idempotency key has made."""
    key = (caller, task.agent, task.idempotency_key)
    if task.idempotency_key:
        row = connection.execute(statements.GET_BY_KEY, (*key, microseconds(now))).fetchone()
        if row is not None:
            return _same(task_from_row(row), task)
    if connection.execute(statements.TASK_EXISTS, (task.task_id,)).fetchone() is not None:
        raise TaskExists(task.task_id)
    (waiting,) = connection.execute(statements.COUNT_BACKLOG, (task.agent, policy.max_backlog)).fetchone()
    if waiting >= policy.max_backlog:
        raise backlog_full(task.agent, policy)
    rows = connection.execute(statements.GET_LIVING_WORKERS_OF, (task.agent,))
    change = new_task(task, map(worker_from_row, rows), now, policy)
    write(connection, [change], {}, policy)
    if task.idempotency_key:
        until = microseconds(now + policy.idempotency_ttl)
        connection.execute(statements.SET_KEY, (*key, task.task_id, until))
    return change


def request_cancel(
    connection: sqlite3.Connection, task_id: int, force: bool, grace: timedelta | None, now: datetime, policy: Policy
) -> tuple[Task, Change | None]:
    """Record a request to cancel, unless there was one already."""
    task = _get(connection, task_id)
    grace = policy.cancel_grace if grace is None else grace
    change = lifecycle.request_cancel(task, now, policy, grace=grace, force=force)
    if change is None:
        return task, None
    write(connection, [change], {task_id: task}, policy)
    return change.task, change


def end_overdue(connection: sqlite3.Connection, limit: int, now: datetime, policy: Policy) -> Sequence[Change]:
    """End tasks that have waited too long, for a worker or for their code to follow a cancel."""
    at = microseconds(now)
    task_ids = [task_id for (task_id,) in connection.execute(statements.GET_OVERDUE, (at, at, limit))]
    stored = get_tasks(connection, task_ids)
    ends = [lifecycle.end_overdue(task, now, policy) for task in stored.values()]
    changes = [change for change in ends if change is not None]
    write(connection, changes, stored, policy)
    return changes


def delete(connection: sqlite3.Connection, task_id: int) -> None:
    """Delete a terminal task."""
    task = _get(connection, task_id)
    if not task.state.terminal:
        raise IllegalTransition(task_id, task.state.name, "deleted")
    connection.execute(statements.DELETE_TASK, (task_id,))


def delete_expired(connection: sqlite3.Connection, limit: int, now: datetime) -> int:
    """Delete what is kept no longer; return how many tasks."""
    at = microseconds(now)
    connection.execute(statements.DELETE_EXPIRED_KEYS, (at, limit))
    connection.execute(statements.DELETE_LOST_WORKERS, (microseconds(now - WORKER_KEPT), limit))
    return connection.execute(statements.DELETE_EXPIRED_TASKS, (at, limit)).rowcount


def claim_spans(connection: sqlite3.Connection, limit: int, seconds: float, now: datetime) -> Sequence[EndedTask]:
    """Return tasks from the outbox, which are nobody else's for some time."""
    rows = connection.execute(statements.GET_OUTBOX, (microseconds(now), limit))
    claimed = orjson.dumps([task_id for (task_id,) in rows])
    until = microseconds(now + timedelta(seconds=seconds))
    connection.execute(statements.CLAIM_OUTBOX, (until, claimed))
    tasks = map(task_from_row, connection.execute(statements.GET_BASIC_TASKS, (claimed,)))
    return ended_tasks(tasks, map(event_from_row, connection.execute(statements.GET_MOVES, (claimed,))))


def drop_spans(connection: sqlite3.Connection, task_ids: Iterable[int]) -> None:
    """Take tasks off the outbox."""
    connection.execute(statements.DROP_FROM_OUTBOX, (orjson.dumps(list(task_ids)),))


def _get(connection: sqlite3.Connection, task_id: int) -> Task:
    row = connection.execute(statements.GET_TASK, (task_id,)).fetchone()
    if row is None:
        raise TaskNotFound(task_id)
    return task_from_row(row)


def _same(made: Task, task: Task) -> Task:
    """Return the task that a key has made, when it was made from the same request."""
    if fingerprint(made) != fingerprint(task):
        raise IdempotencyConflict(task.idempotency_key, made.task_id)
    return made
