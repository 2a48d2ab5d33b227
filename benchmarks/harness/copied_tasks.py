"""Finished tasks in great number: copies of what a task manager has recorded, made by the database itself.

A copy is a row as the task manager would have written it, with its events: an id made of its time, all its times moved
back by as much, a request of its own. Copies are 10 ms apart and take the place of what they were made from, the oldest
first: a store grows at its end, as in life.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outlast.core.task_id import COUNTER_BITS, EPOCH_MS, WORKER_BITS

#: Runs one SQL statement and returns its rows.
Execute = Callable[[str], Sequence[Sequence[object]]]

#: Tasks that are copied.
ORIGINALS = 200
#: Ids that are given to look up.
SAMPLE = 1_000
#: Microseconds from one copy to the next.
_APART = 10_000
#: Copies that one transaction makes.
_STEP = 50_000
#: Copies after which it is said how many there are.
_SAID = 1_000_000
#: Workers that the copies are of, by their ids.
_WORKERS = 16
_TIMES = (
    *("created_at", "updated_at", "started_at", "ended_at", "expires_at", "progress_at", "cancel_requested_at"),
    *("next_attempt_at", "queue_until", "cancel_until", "at"),
)


@dataclass(frozen=True)
class Dialect:
    """Where a store's tables are, and how it is told to copy."""

    schema: str
    #: Where tables are made that are needed meanwhile.
    scratch: str
    #: The tables' columns.
    names: dict[str, list[str]]
    #: Gives the numbers from one to another, as ``copy``.
    series: str
    #: In which order copies are written; empty where the database does so as it reads.
    order: str
    #: Values of columns that are no copies.
    columns: dict[str, str]


def multiply(execute: Execute, dialect: Dialect, tasks: int, say: Callable[[str], None]) -> Sequence[int]:
    """Put ``tasks`` copies in the place of what was recorded; return ids of some."""
    schema, scratch = dialect.schema, dialect.scratch
    ((oldest, count),) = execute(f"SELECT min(created_at), count(*) FROM {schema}tasks WHERE state = 3")
    assert isinstance(oldest, int)
    assert count == ORIGINALS, count
    begin = oldest - tasks * _APART
    created_at = f"({begin} + copies.copy * {_APART})"
    milliseconds = f"({created_at} / 1000 - {EPOCH_MS})"
    values = {
        "task_id": f"({milliseconds} << {WORKER_BITS + COUNTER_BITS}) + ((copies.copy % {_WORKERS}) << {COUNTER_BITS})",
        "request_id": "'request-' || copies.copy",
        **{name: f"source.{name} + {created_at} - source.made" for name in _TIMES},
        **dialect.columns,
    }
    # Apart: among a million others the database would look for them anew each time.
    execute(f"""
        CREATE TABLE {scratch}task_sources AS
        SELECT *, row_number() OVER (ORDER BY task_id) - 1 AS place, created_at AS made FROM {schema}tasks
    """)
    execute(f"""
        CREATE TABLE {scratch}event_sources AS
        SELECT events.*, place, made FROM {schema}events AS events JOIN {scratch}task_sources USING (task_id)
         ORDER BY place, events.generation
    """)
    for table in ("events", "tasks"):
        execute(f"DELETE FROM {schema}{table}")
    for first in range(0, tasks, _STEP):
        if first and first % _SAID == 0:
            say(f"{first:,}")
        numbers = dialect.series.format(first, min(first + _STEP, tasks) - 1)
        for table in ("task", "event"):
            names = dialect.names[f"{table}s"]
            execute(f"""
                INSERT INTO {schema}{table}s ({", ".join(names)})
                SELECT {", ".join(values.get(name, f"source.{name}") for name in names)}
                  FROM {numbers} AS copies CROSS JOIN {scratch}{table}_sources AS source
                 WHERE source.place = copies.copy % {ORIGINALS}
                {dialect.order}
            """)
    for table in ("task", "event"):
        execute(f"DROP TABLE {scratch}{table}_sources")
    ((count,),) = execute(f"SELECT count(*) FROM {schema}tasks")
    assert count == tasks, count
    return [_id(begin + copy * _APART, copy) for copy in random.Random(tasks).sample(range(tasks), min(SAMPLE, tasks))]


def _id(created_at: int, copy: int) -> int:
    return (created_at // 1_000 - EPOCH_MS << WORKER_BITS + COUNTER_BITS) + (copy % _WORKERS << COUNTER_BITS)
