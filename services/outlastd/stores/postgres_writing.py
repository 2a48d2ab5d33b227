"""How changes are written to PostgreSQL, whatever made them: one statement, all of it or nothing.

The statement compares what is there with what its sender knew: the epochs and applied sequences of workers, and the
generation of every task. Where anything differs it fails as a whole (``Stale``), and the sender decides anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import asyncpg

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.value import value
from outlast.core.worker import Worker
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.postgres_rows import ROW_TYPES, rows_of
from outlastd.stores.postgres_statements import CLOCK, columns
from outlastd.stores.rows import EVENT_COLUMNS, task_types_value


class Stale(Exception):
    """The rows are not as the sender knew them; nothing was written."""


#: What PostgreSQL raises where it is: our own code, an id that is taken by now, a key likewise.
STALE_CODES = frozenset({"OL001", "23505"})


@value(frozen=True, slots=True)
class Advance:
    """What a batch of operations does to its worker's row, besides renewing the lease."""

    worker: Worker
    #: The new applied sequence.
    sequence: int


@value(frozen=True, slots=True)
class Advances:
    """What the batches of some workers, each in it once, do to their rows."""

    each: Sequence[Advance]
    #: Of a lease, microseconds.
    ttl: int
    #: The time to go by instead of the database's clock, microseconds.
    now: int | None
    #: Whether to wait for a worker's row that somebody else is at, instead of being ``Stale``.
    wait: bool = True


@value(frozen=True, slots=True)
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
    advances: Advances | None = None,
    claimer: Worker | None = None,
    key: Key | None = None,
    alone: bool = True,
) -> int:
    """Write changes in one round trip: each task as its newest leaves it, every event. Return the database's time.

    ``stored`` are the tasks as they were before; those that are not among them are new. ``claimer`` is who is given
    them, where that is one whose row is not locked. ``alone`` says that the statement is a transaction by itself, and
    what its sender knows was committed before that began.

    Raises:
        Stale: something is not as it was.
    """
    rows = rows_of(changes, stored, policy)
    arguments: list[Any] = []
    if advances is not None:
        arguments += (
            [advance.worker.worker_id for advance in advances.each],
            [advance.worker.epoch for advance in advances.each],
            [advance.worker.applied_sequence for advance in advances.each],
            [advance.sequence for advance in advances.each],
            advances.ttl,
            advances.now,
            len(advances.each),
        )
    elif claimer is not None:
        arguments += (claimer.worker_id, claimer.epoch, task_types_value(claimer.task_types), claimer.session_id)
    for part in (rows.new, rows.changed, rows.reported):
        if part:
            arguments += (part, len(part))
    if rows.events:
        arguments.append(rows.events)
    if rows.spans:
        arguments += zip(*rows.spans, strict=True)
    if key is not None:
        arguments += (key.digest, key.task_id, key.now, key.expires_at)
    statement = _statement(
        _workers(advances, claimer),
        bool(rows.new),
        bool(rows.changed),
        bool(rows.reported),
        bool(rows.events),
        bool(rows.spans),
        key is not None,
        alone,
    )
    try:
        clock: int = await connection.fetchval(statement, *arguments)
    except asyncpg.PostgresError as error:
        if error.sqlstate in STALE_CODES:
            raise Stale from error
        raise
    return clock


def _workers(advances: Advances | None, claimer: Worker | None) -> str:
    """Return what a statement does to the rows of workers."""
    if advances is not None:
        return "wait" if advances.wait else "skip"
    return "" if claimer is None else "share"


@cache
def _statement(
    workers: str, new: bool, changed: bool, reported: bool, events: bool, spans: bool, key: bool, alone: bool
) -> str:
    """Return the statement that has these parts, whose parameters come in this order.

    Every part waits for the workers' rows: they are locked before the tasks' are, by everybody.
    """
    numbers = _Parameters()
    parts: list[str] = []
    checks: list[str] = []
    after = ""
    if workers == "share":
        worker_id, epoch, task_types, session_id = (numbers.next() for _ in range(4))
        parts.append(f"""shared AS (
            SELECT FROM workers
             WHERE worker_id = {worker_id} AND epoch = {epoch} AND task_types = {task_types}
               AND session_id = {session_id} AND NOT draining
               FOR SHARE)""")
        checks.append("(SELECT count(*) FROM shared) = 1")
        after = "(SELECT count(*) FROM shared) AS shared, "
    elif workers:
        arrays = [f"{numbers.next()}::{kind}[]" for kind in ("text", "bigint", "bigint", "bigint")]
        ttl, now, count = (numbers.next() for _ in range(3))
        rows = f"unnest({', '.join(arrays)}) AS rows (worker_id, epoch, before, sequence)"
        same = """workers.worker_id = rows.worker_id AND workers.epoch = rows.epoch
               AND workers.applied_sequence = rows.before"""
        if workers == "skip":
            parts.append(f"""free AS (
            SELECT rows.* FROM {rows} JOIN workers ON {same}
               FOR NO KEY UPDATE OF workers SKIP LOCKED)""")
            rows = "free AS rows"
        parts.append(f"""advanced AS (
            UPDATE workers
               SET applied_sequence = rows.sequence, lost_at = NULL,
                   lease_until = coalesce({now}::bigint, {CLOCK}) + {ttl}::bigint
              FROM {rows}
             WHERE {same}
            RETURNING 1)""")
        checks.append(f"(SELECT count(*) FROM advanced) = {count}::bigint")
        after = "(SELECT count(*) FROM advanced) AS advanced, "
    if new:
        names = ROW_TYPES["new_task"]
        parts.append(f"""made AS (
            INSERT INTO tasks ({columns(names)})
            SELECT {columns(names, "rows")} FROM {after}{numbers.rows("new_task")}
            RETURNING 1)""")
        checks.append(f"(SELECT count(*) FROM made) = {numbers.next()}::bigint")
    for part, there in (("changed", changed), ("reported", reported)):
        if there:
            kind = f"{part}_task"
            _, known, *names = ROW_TYPES[kind]
            values = ", ".join(f"{name} = rows.{name}" for name in names)
            parts.append(f"""{part} AS (
            UPDATE tasks SET {values} FROM {after}{numbers.rows(kind)}
             WHERE tasks.task_id = rows.task_id AND tasks.generation = rows.{known}
            RETURNING 1)""")
            checks.append(f"(SELECT count(*) FROM {part}) = {numbers.next()}::bigint")
    if events:
        session = "CASE WHEN rows.session_id <> '' THEN hashtextextended(rows.session_id, 0) END"
        # A session is read in this order. A transaction of several statements may be the older one, and have found a
        # task that another has changed and committed since: a later event of a task never stands before an earlier one.
        order = """greatest(pg_current_xact_id(), (
                SELECT before.transaction FROM events AS before
                 WHERE before.task_id = rows.task_id AND rows.session_id <> ''
                 ORDER BY before.generation DESC LIMIT 1))"""
        parts.append(f"""told AS (
            INSERT INTO events ({columns(EVENT_COLUMNS)}, session_key, transaction)
            SELECT {columns(EVENT_COLUMNS, "rows")}, {session}, {"pg_current_xact_id()" if alone else order}
              FROM {after}{numbers.rows("new_event")})""")
    if spans:
        parts.append(f"""spans AS (
            INSERT INTO span_outbox (task_id, claimed_until)
            SELECT * FROM unnest({numbers.next()}::bigint[], {numbers.next()}::bigint[]))""")
    if key:
        digest, task_id, now, expires_at = (numbers.next() for _ in range(4))
        parts.append(f"""key AS (
            INSERT INTO idempotency_keys AS kept (digest, task_id, expires_at)
            VALUES ({digest}, {task_id}, {expires_at})
            ON CONFLICT (digest) DO UPDATE SET task_id = excluded.task_id, expires_at = excluded.expires_at
             WHERE kept.expires_at <= {now}::bigint
            RETURNING 1)""")
        checks.append("(SELECT count(*) FROM key) = 1")
    return f"WITH {', '.join(parts)} SELECT CASE WHEN {' AND '.join(checks) or 'true'} THEN {CLOCK} ELSE stale() END"


class _Parameters:
    """Counts the parameters of a statement."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return the next parameter."""
        self._count += 1
        return f"${self._count}"

    def rows(self, kind: str) -> str:
        """Return a table named ``rows`` of one array of a type of rows."""
        return f"unnest({self.next()}::{kind}[]) AS rows"
