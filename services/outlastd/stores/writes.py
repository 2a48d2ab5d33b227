"""How changes are written to SQLite, whatever made them: one row a task and one row an event.

What decides them is in worker_writes.py and task_writes.py. No function of the three begins or commits a transaction:
the writer does, for many at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import orjson

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlastd.stores import statements
from outlastd.stores.deciding import newest, wants_spans
from outlastd.stores.rows import changing_values, event_values, fixed_values, task_from_row


def get_tasks(connection: sqlite3.Connection, task_ids: Iterable[int]) -> dict[int, Task]:
    """Return those that exist of some tasks, by their ids."""
    rows = connection.execute(statements.GET_TASKS, (orjson.dumps(list(task_ids)),))
    return {task.task_id: task for task in map(task_from_row, rows)}


def next_epoch(connection: sqlite3.Connection) -> int:
    """Return a number that no lease and no run of a session had before."""
    connection.execute(statements.ADVANCE_EPOCH)
    (epoch,) = connection.execute(statements.GET_EPOCH).fetchone()
    return int(epoch)


def write(connection: sqlite3.Connection, changes: Sequence[Change], stored: Iterable[int], policy: Policy) -> None:
    """Write each task as its newest change leaves it, and every event. ``stored`` are the ids of rows that exist."""
    if not changes:
        return
    tasks = newest(changes)
    known = set(stored)
    connection.executemany(
        statements.INSERT_TASK,
        [(*fixed_values(task), *changing_values(task)) for task in tasks if task.task_id not in known],
    )
    connection.executemany(
        statements.UPDATE_TASK,
        [(*changing_values(task), task.task_id) for task in tasks if task.task_id in known],
    )
    connection.execute(statements.ADVANCE_EVENT, (len(changes),))
    (last,) = connection.execute(statements.GET_EVENT_NUMBER).fetchone()
    connection.executemany(
        statements.INSERT_EVENT,
        [
            (*event_values(change.event), change.task.session_id, number)
            for number, change in enumerate(changes, last - len(changes) + 1)
        ],
    )
    connection.executemany(
        statements.ADD_TO_OUTBOX, [(change.task.task_id,) for change in changes if wants_spans(change, policy)]
    )
