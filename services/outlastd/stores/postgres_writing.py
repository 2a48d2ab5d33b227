"""How changes are written to PostgreSQL, whatever made them: one statement, all of it or nothing.

The statement compares what is there with what its sender knew: the worker's epoch and applied sequence, and the
generation of every task. Where anything differs it fails as a whole (``Stale``), and the sender decides anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncpg

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores.deciding import newest, wants_spans
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_statements import CLOCK, columns
from outlastd.stores.rows import (
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    changing_values,
    event_values,
    fixed_values,
)

_TEXT = (
    *("task_type", "agent", "session_id", "request_id", "created_by_worker", "traceparent", "tracestate"),
    *("idempotency_key", "state_reason", "worker_id", "progress_message", "error_message", "error_type"),
)
#: The types of the columns that are not bigint.
_TYPES = {
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys(("labels", "metadata", "input", "result", "output"), "bytea"),
    **dict.fromkeys(("state", "kind"), "smallint"),
    "progress_fraction": "float8",
    "manual": "boolean",
}
_NEW_COLUMNS = (*FIXED_COLUMNS, *CHANGING_COLUMNS)


class Stale(Exception):
    """The rows are not as the sender knew them; nothing was written."""


#: What PostgreSQL raises where it is: our own code, an id that is taken by now, a key likewise.
STALE_CODES = frozenset({"OL001", "23505"})


@dataclass(frozen=True, slots=True)
class Advance:
    """What a batch of operations does to its worker's row, besides renewing the lease."""

    worker: Worker
    #: The new applied sequence.
    sequence: int
    #: Microseconds.
    ttl: int
    #: The time to go by instead of the database's clock, microseconds.
    now: int | None


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key to set."""

    digest: bytes
    task_id: int
    #: Microseconds: an older key in its place must have expired by ``now``.
    now: int
    expires_at: int


async def write(
    connection: Connection,
    changes: Sequence[Change],
    stored: Mapping[int, Task],
    policy: Policy,
    *,
    advance: Advance | None = None,
    key: Key | None = None,
) -> int:
    """Write changes in one round trip: each task as its newest leaves it, every event. Return the database's time.

    ``stored`` are the tasks as they were before; those that are not among them are new.

    Raises:
        Stale: something is not as it was.
    """
    tasks = sorted(newest(changes), key=lambda task: task.task_id)  # whoever locks several does it in this order
    new = [task for task in tasks if task.task_id not in stored]
    changed = [task for task in tasks if task.task_id in stored]
    spans = [change.task.task_id for change in changes if wants_spans(change, policy)]
    arguments: list[Any] = []
    if advance is not None:
        worker = advance.worker
        arguments += (worker.worker_id, worker.epoch, worker.applied_sequence)
        arguments += (advance.sequence, advance.ttl, advance.now)
    if new:
        arguments += _transposed([(*fixed_values(task), *changing_values(task)) for task in new])
    if changed:
        arguments += _transposed(
            [(*changing_values(task), task.task_id, stored[task.task_id].generation) for task in changed]
        )
    if changes:
        arguments += _transposed([(*event_values(change.event), change.task.session_id) for change in changes])
    if spans:
        arguments.append(spans)
    if key is not None:
        arguments += (key.digest, key.task_id, key.now, key.expires_at)
    statement = _statement(advance is not None, bool(new), bool(changed), bool(changes), bool(spans), key is not None)
    try:
        clock: int = await connection.fetchval(statement, *arguments, len(new), len(changed))
    except asyncpg.PostgresError as error:
        if error.sqlstate in STALE_CODES:
            raise Stale from error
        raise
    return clock


def _transposed(rows: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    return zip(*rows, strict=True)


@cache
def _statement(advance: bool, new: bool, changed: bool, events: bool, spans: bool, key: bool) -> str:
    """Return the statement that has these parts, whose parameters come in this order.

    Every part waits for the worker's row: it is locked before the tasks' are, by everybody.
    """
    numbers = _Parameters()
    parts: list[str] = []
    checks: list[str] = []
    after = ""
    if advance:
        worker_id, epoch, before, sequence, ttl, now = (numbers.next() for _ in range(6))
        parts.append(f"""worker AS (
            UPDATE workers
               SET applied_sequence = {sequence}::bigint, lost_at = NULL,
                   lease_until = coalesce({now}::bigint, {CLOCK}) + {ttl}::bigint
             WHERE worker_id = {worker_id} AND epoch = {epoch} AND applied_sequence = {before}
            RETURNING 1)""")
        checks.append("(SELECT count(*) FROM worker) = 1")
        after = "worker, "
    if new:
        parts.append(f"""made AS (
            INSERT INTO tasks ({columns(_NEW_COLUMNS)})
            SELECT {columns(_NEW_COLUMNS, "rows")} FROM {after}{numbers.rows(_NEW_COLUMNS)}
            RETURNING 1)""")
    if changed:
        known = (*CHANGING_COLUMNS, "task_id", "known_generation")
        values = ", ".join(f"{name} = rows.{name}" for name in CHANGING_COLUMNS)
        parts.append(f"""changed AS (
            UPDATE tasks SET {values} FROM {after}{numbers.rows(known)}
             WHERE tasks.task_id = rows.task_id AND tasks.generation = rows.known_generation
            RETURNING 1)""")
    if events:
        told = (*EVENT_COLUMNS, "session_id")
        session = "CASE WHEN rows.session_id <> '' THEN hashtextextended(rows.session_id, 0) END"
        # A session is read in this order. Ours may have been the older transaction when it locked the worker, and
        # another have changed the task and committed since: a later event of a task never stands before an earlier one.
        order = """greatest(pg_current_xact_id(), (
                SELECT before.transaction FROM events AS before
                 WHERE before.task_id = rows.task_id AND rows.session_id <> ''
                 ORDER BY before.generation DESC LIMIT 1))"""
        parts.append(f"""told AS (
            INSERT INTO events ({columns(EVENT_COLUMNS)}, session_key, transaction)
            SELECT {columns(EVENT_COLUMNS, "rows")}, {session}, {order} FROM {after}{numbers.rows(told)})""")
    if spans:
        parts.append(f"""spans AS (
            INSERT INTO span_outbox (task_id) SELECT * FROM unnest({numbers.next()}::bigint[]))""")
    if key:
        digest, task_id, now, expires_at = (numbers.next() for _ in range(4))
        parts.append(f"""key AS (
            INSERT INTO idempotency_keys AS kept (digest, task_id, expires_at)
            VALUES ({digest}, {task_id}, {expires_at})
            ON CONFLICT (digest) DO UPDATE SET task_id = excluded.task_id, expires_at = excluded.expires_at
             WHERE kept.expires_at <= {now}::bigint
            RETURNING 1)""")
        checks.append("(SELECT count(*) FROM key) = 1")
    made_count, changed_count = numbers.next(), numbers.next()
    checks.append(f"{'(SELECT count(*) FROM made)' if new else 0} = {made_count}::bigint")
    checks.append(f"{'(SELECT count(*) FROM changed)' if changed else 0} = {changed_count}::bigint")
    return f"WITH {', '.join(parts)} SELECT CASE WHEN {' AND '.join(checks)} THEN {CLOCK} ELSE stale() END"


class _Parameters:
    """Counts the parameters of a statement."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return the next parameter."""
        self._count += 1
        return f"${self._count}"

    def rows(self, names: Sequence[str]) -> str:
        """Return a table named ``rows`` of one array for each column."""
        arrays = ", ".join(f"{self.next()}::{_TYPES.get(name, 'bigint')}[]" for name in names)
        return f"unnest({arrays}) AS rows ({columns(names)})"
