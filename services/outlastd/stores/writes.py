"""How changes are written to SQLite, whatever made them: one row a task and one row an event.

What decides them is in worker_writes.py and task_writes.py. No function of the three begins or commits a transaction:
the writer does, for many at once.
"""

from __future__ import annotations

import math
import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import orjson

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.value import value
from outlastd.stores import statements
from outlastd.stores.rows import (
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    REPORTED_COLUMNS,
    changing_values,
    event_values,
    fixed_values,
    reported_values,
    task_from_row,
)
from outlastd.stores.written import written

#: Rows that one statement writes: up to 32 there is one for each number, beyond for some, and the rest of the rows is
#: left empty. Each is prepared once and kept, and takes some 40 bytes a value: so it has a bound in values, too.
_SIZES = (*range(1, 33), 48, 64, 96, 128, 192, 256, 384, 512, 768)
_VALUES_AT_ONCE = 12_288
#: Whether an UPDATE can take its values from many rows.
UPDATES_MANY = sqlite3.sqlite_version_info >= (3, 33)
_NEW_WIDTH = len(FIXED_COLUMNS) + len(CHANGING_COLUMNS)
#: SQLite keeps it as NULL (https://www.sqlite.org/floatingpoint.html) and takes it in a tenth of the time: before it
#: binds a None, Python's module asks whether there is an adapter for it. Half of what a lifecycle binds is NULL.
_NULL = math.nan
#: With the session and the number of the event.
_EVENT_WIDTH = len(EVENT_COLUMNS) + 2


class Stale(Exception):
    """The rows are not as they were known."""


def get_tasks(connection: sqlite3.Connection, task_ids: Iterable[int]) -> dict[int, Task]:
    """Return those that exist of some tasks, by their ids."""
    rows = connection.execute(statements.GET_TASKS, (orjson.dumps(list(task_ids)),))
    return {task.task_id: task for task in map(task_from_row, rows)}


def next_epoch(connection: sqlite3.Connection) -> int:
    """Return a number that no lease and no run of a session had before."""
    connection.execute(statements.ADVANCE_EPOCH)
    (epoch,) = connection.execute(statements.GET_EPOCH).fetchone()
    return int(epoch)


def write(
    connection: sqlite3.Connection, changes: Sequence[Change], stored: Mapping[int, Task], policy: Policy
) -> None:
    """Write each task as its newest change leaves it, and every event. ``stored`` are the tasks as they are there."""
    write_rows(connection, rows_of(changes, stored, policy))


@value(frozen=True, slots=True)
class Rows:
    """Changes as the parameters of statements, row by row: on the writing thread little is left to do."""

    #: Tasks that are new (FIXED_COLUMNS, CHANGING_COLUMNS).
    new: list[Any]
    #: Tasks of which somebody has reported only (task_id, generation, REPORTED_COLUMNS).
    reported: list[Any]
    #: Other tasks that have changed (task_id, generation, CHANGING_COLUMNS).
    changed: list[Any]
    #: Events, but for their numbers (EVENT_COLUMNS, session_id, None).
    events: list[Any]
    #: Tasks whose spans are to be exported (Written.spans).
    spans: list[tuple[int, int]]


def rows_of(changes: Sequence[Change], stored: Mapping[int, Task], policy: Policy) -> Rows:
    """Return changes as rows. ``stored`` are the tasks as they were; those that are not among them are new."""
    found = written(changes, stored, policy)
    new: list[Any] = []
    reported: list[Any] = []
    changed: list[Any] = []
    events: list[Any] = []
    for change in changes:
        events += event_values(change.event, _NULL)
        events += (change.task.session_id, None)
    for task in found.new:
        new += fixed_values(task, _NULL)
        new += changing_values(task, _NULL)
    for generation, task in found.changed:
        changed += (task.task_id, generation)
        changed += changing_values(task, _NULL)
    for generation, task in found.reported:
        reported += (task.task_id, generation)
        reported += reported_values(task, _NULL)
    return Rows(new, reported, changed, events, found.spans)


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several parts, in their order, as those of one."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        [*chain.from_iterable(part.new for part in parts)],
        [*chain.from_iterable(part.reported for part in parts)],
        [*chain.from_iterable(part.changed for part in parts)],
        [*chain.from_iterable(part.events for part in parts)],
        [*chain.from_iterable(part.spans for part in parts)],
    )


def write_rows(connection: sqlite3.Connection, rows: Rows) -> None:
    """Write rows, in as few steps as there can be: at each the interpreter is given away, and may be lost for 5 ms.

    Raises:
        Stale: a task is not as it was known. What was written up to then has to be undone.
    """
    if not rows.events:
        return
    _insert(connection, partial(statements.many, statements.INSERT_TASK), _NEW_WIDTH, rows.new)
    _update(connection, REPORTED_COLUMNS, rows.reported)
    _update(connection, CHANGING_COLUMNS, rows.changed)
    count = len(rows.events) // _EVENT_WIDTH
    connection.execute(statements.ADVANCE_EVENT, (count,))
    rows.events[_EVENT_WIDTH - 1 :: _EVENT_WIDTH] = range(count - 1, -1, -1)
    _insert(connection, statements.insert_events, _EVENT_WIDTH, rows.events)
    anybodys = [task_id for task_id, until in rows.spans if not until]
    own = [task_id for task_id, until in rows.spans if until]
    for task_ids, until in ((anybodys, 0), (own, max(until for _, until in rows.spans) if own else 0)):
        if task_ids:
            connection.execute(statements.ADD_TO_OUTBOX, (until, orjson.dumps(task_ids)))


def _insert(connection: sqlite3.Connection, statement: Callable[[int], str], width: int, values: list[Any]) -> None:
    """Insert rows, as many at a time as there are statements for; ``statement`` makes them by their size."""
    most = _most(connection, width)
    left, position = len(values) // width, 0
    while left:
        rows = min(left, most)
        size = _SIZES[bisect_left(_SIZES, rows)]
        some = values[position : position + rows * width]
        some += [_NULL] * ((size - rows) * width)
        connection.execute(statement(size), some)
        position += rows * width
        left -= rows


def _update(connection: sqlite3.Connection, names: Sequence[str], values: list[Any]) -> None:
    """Update tasks that are as they were known, as many at a time as there are statements for."""
    width = len(names) + 2
    most = _most(connection, width) if UPDATES_MANY else 1
    left, position = len(values) // width, 0
    while left:
        size = _SIZES[bisect_right(_SIZES, min(left, most)) - 1]
        some = values[position : position + size * width]
        if connection.execute(statements.update_tasks(names, size), some).rowcount != size:
            raise Stale
        position += size * width
        left -= size


def _most(connection: sqlite3.Connection, width: int) -> int:
    """Return how many rows one statement may have."""
    variables = min(_VALUES_AT_ONCE, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    most: int = _SIZES[bisect_right(_SIZES, variables // width) - 1]
    return most
