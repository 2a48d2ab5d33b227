"""What batches of workers write on SQLite: those that are committed together, in as few steps as one of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from outlast.core.value import value
from outlast.core.worker import Worker
from outlastd.stores import statements
from outlastd.stores.writes import UPDATES_MANY, Rows, Stale, joined, write_rows


@value(frozen=True, slots=True)
class Advance:
    """What a worker's operations have changed, with its new applied sequence and its lease: a job of the writer."""

    #: As it was known.
    worker: Worker
    sequence: int
    #: Until when the lease holds, microseconds.
    until: int
    rows: Rows

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Write it, by what was known when it was made (``advance``)."""
        advance(connection, [self])


def advance(connection: sqlite3.Connection, advances: Sequence[Advance]) -> None:
    """Write what batches of different workers have changed; what is written when it raises has to be undone.

    Raises:
        Stale: a worker or a task is not as it was known.
    """
    try:
        write_advances(connection, advances)
    except sqlite3.IntegrityError as error:  # an id that is taken by now, a task that has ended by now
        raise Stale from error


def write_advances(connection: sqlite3.Connection, advances: Sequence[Advance]) -> None:
    """Do what ``advance`` does; what the database refuses is raised as it says it."""
    for some in [advances] if UPDATES_MANY else [[each] for each in advances]:
        if connection.execute(statements.update_applied(len(some)), _applied_values(some)).rowcount != len(some):
            raise Stale
    write_rows(connection, joined([each.rows for each in advances]))


def _applied_values(advances: Sequence[Advance]) -> list[str | int]:
    values: list[str | int] = []
    for each in advances:
        worker = each.worker
        values += (worker.worker_id, worker.epoch, worker.applied_sequence, each.sequence, each.until)
    return values
