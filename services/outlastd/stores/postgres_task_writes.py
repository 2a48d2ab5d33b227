"""What requests for tasks, and the time that lapses, change on PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from outlast.core import lifecycle
from outlast.core.errors import IdempotencyConflict, IllegalTransition, TaskExists
from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlastd.stores import postgres_reads as reads
from outlastd.stores import postgres_statements as statements
from outlastd.stores.deciding import WORKER_KEPT, backlog_full, fingerprint, new_task
from outlastd.stores.port import EndedTask
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_writing import Key, write
from outlastd.stores.rows import microseconds, task_from_row, worker_from_row


async def create(connection: Connection, task: Task, caller: str, now: datetime, policy: Policy) -> Change | Task:
    """Record a submitted task, or return the one that its idempotency key has made."""
    key = None
    if task.idempotency_key:
        digest = _digest(caller, task.agent, task.idempotency_key)
        key = Key(digest, task.task_id, microseconds(now), microseconds(now + policy.idempotency_ttl))
        row = await connection.fetchrow(statements.GET_BY_KEY, key.digest, key.now)
        if row is not None:
            return _same(task_from_row(row), task)
    room = await connection.fetch(statements.GET_ROOM, task.task_id, task.agent, policy.max_backlog, task.session_id)
    taken, waiting = room[0][:2]
    if taken:
        raise TaskExists(task.task_id)
    if waiting >= policy.max_backlog:
        raise backlog_full(task.agent, policy)
    workers = [worker_from_row(row[2:]) for row in room if row[2] is not None]
    change = new_task(task, workers, now, policy)
    await write(connection, [change], {}, policy, key=key)
    return change


async def request_cancel(
    connection: Connection, task_id: int, force: bool, grace: timedelta | None, now: datetime, policy: Policy
) -> tuple[Task, Change | None]:
    """Record a request to cancel, unless there was one already."""
    task = await reads.get(connection, task_id)
    grace = policy.cancel_grace if grace is None else grace
    change = lifecycle.request_cancel(task, now, policy, grace=grace, force=force)
    if change is None:
        return task, None
    await write(connection, [change], {task_id: task}, policy)
    return change.task, change


async def end_overdue(connection: Connection, limit: int, now: datetime, policy: Policy) -> Sequence[Change]:
    """End tasks that have waited too long; those that somebody else is at come the next time."""
    async with connection.transaction():
        rows = await connection.fetch(statements.LOCK_OVERDUE, microseconds(now), limit)
        stored = {task.task_id: task for task in map(task_from_row, rows)}
        ends = [lifecycle.end_overdue(task, now, policy) for task in stored.values()]
        changes = [change for change in ends if change is not None]
        if changes:
            await write(connection, changes, stored, policy, alone=False)
    return changes


async def delete(connection: Connection, task_id: int) -> None:
    """Delete a terminal task."""
    if not await connection.fetchval(statements.DELETE_TASK, task_id):
        task = await reads.get(connection, task_id)
        raise IllegalTransition(task_id, task.state.name, "deleted")


async def delete_expired(connection: Connection, limit: int, now: datetime) -> int:
    """Delete what is kept no longer; return how many tasks."""
    at = microseconds(now)
    await connection.execute(statements.DELETE_EXPIRED_KEYS, at, limit)
    await connection.execute(statements.DELETE_LOST_WORKERS, microseconds(now - WORKER_KEPT), limit)
    return len(await connection.fetch(statements.DELETE_EXPIRED_TASKS, at, limit))


async def claim_spans(connection: Connection, limit: int, seconds: float, now: datetime) -> Sequence[EndedTask]:
    """Return tasks from the outbox, which are nobody else's for some time."""
    until = microseconds(now + timedelta(seconds=seconds))
    rows = await connection.fetch(statements.CLAIM_OUTBOX, microseconds(now), limit, until)
    return await reads.ended_tasks(connection, [task_id for (task_id,) in rows]) if rows else []


def _digest(*key: str) -> bytes:
    return hashlib.sha256(repr(key).encode()).digest()


def _same(made: Task, task: Task) -> Task:
    """Return the task that a key has made, when it was made from the same request."""
    if fingerprint(made) != fingerprint(task):
        raise IdempotencyConflict(task.idempotency_key, made.task_id)
    return made
