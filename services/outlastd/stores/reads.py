"""The queries of the SQLite store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson

from outlast.core.errors import InvalidField, TaskNotFound
from outlast.core.event import TaskEvent
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import statements
from outlastd.stores.database import answer_for
from outlastd.stores.port import Census, Position, SessionEvent, TaskFilter
from outlastd.stores.rows import census_from_row, event_from_row, microseconds, task_from_row, worker_from_row
from outlastd.stores.store_metrics import Access, StoreMetrics, transaction
from outlastd.stores.thread import Job

#: Where a session's events are read on: the number of the event before, at most 18 digits, which fit 63 bits.
_CURSOR = re.compile("e([0-9]{1,18})")


def read_each(metrics: StoreMetrics | None, connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
    """Run every job by itself: what the reading thread of a store does."""
    for job in jobs:
        # Looking for what others have written is no transaction, and would be most of them.
        measuring = None if job.work is data_version else metrics
        try:
            with transaction(measuring, Access.READ):
                job.result = job.work(connection)
        except Exception as error:
            job.error = answer_for(error)


def get(connection: sqlite3.Connection, task_id: int) -> Task:
    """Return a task, or raise TaskNotFound."""
    row = connection.execute(statements.GET_TASK, (task_id,)).fetchone()
    if row is None:
        raise TaskNotFound(task_id)
    return task_from_row(row)


def list_tasks(
    connection: sqlite3.Connection, which: TaskFilter, limit: int, after: Position | None, full: bool
) -> Sequence[Task]:
    """Return a page of tasks, newest first."""
    query, parameters = _page(which, after, statements.SELECT_FULL if full else statements.SELECT_BASIC)
    query += " ORDER BY created_at DESC, task_id DESC LIMIT ?"
    return [task_from_row(row) for row in connection.execute(query, (*parameters, limit))]


def held(connection: sqlite3.Connection, worker_id: str, full: bool) -> Sequence[Task]:
    """Return the tasks that a worker holds under its epoch, the oldest first."""
    worker = connection.execute(statements.GET_WORKER, (worker_id,)).fetchone()
    if worker is None:
        return []
    epoch = worker_from_row(worker).epoch
    query = statements.GET_HELD if full else statements.GET_BASIC_HELD
    tasks = map(task_from_row, connection.execute(query, (worker_id, worker_id)))
    return [task for task in tasks if task.epoch == epoch]


def cancel_requests(connection: sqlite3.Connection, worker_ids: Iterable[str]) -> Sequence[Task]:
    """Return the tasks that these workers hold and somebody has asked to cancel."""
    rows = connection.execute(statements.GET_CANCEL_REQUESTS, (orjson.dumps(list(worker_ids)),))
    return [task_from_row(row) for row in rows]


def census(connection: sqlite3.Connection, now: datetime) -> Sequence[Census]:
    """Count the tasks that have not ended, by agent and state."""
    return [census_from_row(row, now) for row in connection.execute(statements.GET_CENSUS, (microseconds(now),))]


def events(connection: sqlite3.Connection, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
    """Return events of a task after a generation, in order, or raise TaskNotFound."""
    rows = connection.execute(statements.GET_EVENTS, (task_id, after_generation, limit)).fetchall()
    if not rows and connection.execute(statements.TASK_EXISTS, (task_id,)).fetchone() is None:
        raise TaskNotFound(task_id)
    return [event_from_row(row) for row in rows]


def session_events(
    connection: sqlite3.Connection, session_id: str, after: str, limit: int, agent: str
) -> Sequence[SessionEvent]:
    """Return events of a session after a cursor, in the order of their commits."""
    number = _number(after)
    rows = connection.execute(statements.GET_SESSION_EVENTS, (session_id, number, agent, agent, limit)).fetchall()
    if not rows:
        (last,) = connection.execute(statements.GET_EVENT_NUMBER).fetchone()
        if number > last:
            raise InvalidField("cursor", "is not one of this store")
    return [SessionEvent(event_from_row(row), _cursor(number)) for number, *row in rows]


def living_workers(connection: sqlite3.Connection) -> Sequence[Worker]:
    """Return the workers whose lease nobody has taken away."""
    return [worker_from_row(row) for row in connection.execute(statements.GET_LIVING_WORKERS)]


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that changes whenever another connection, of any process, commits."""
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)


def _cursor(number: int) -> str:
    return f"e{number}"


def _number(cursor: str) -> int:
    """Return the number of the event that a cursor stands after."""
    if not cursor:
        return 0
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidField("cursor", "is not one of this store")
    return int(found[1])


def _page(which: TaskFilter, after: Position | None, select: str) -> tuple[str, Sequence[Any]]:
    """Build the query of a page, without its order, so that one index gives the rows in the order of the list.

    The most telling filter goes through its index: the session, else the state, else the agent. A ``+`` before a
    column keeps SQLite from using the index of that column. Each of several states has a query of its own, which
    SQLite merges: a state that few tasks are in is found without reading the others.
    """
    terms: list[str] = []
    parameters: list[Any] = []
    if which.session_id:
        terms.append("session_id = ? AND session_id <> ''")  # the second half lets SQLite use the partial index
        parameters.append(which.session_id)
    if which.agent:
        terms.append("+agent = ?" if which.session_id or which.states else "agent = ?")
        parameters.append(which.agent)
    if after is not None:
        terms.append("(created_at, task_id) < (?, ?)")
        parameters += (microseconds(after.created_at), after.task_id)
    states = [str(int(state)) for state in sorted(which.states)]
    if not states:
        return _where(select, terms), parameters
    if which.session_id:
        return _where(select, [*terms, f"+state IN ({', '.join(states)})"]), parameters
    one_each = [_where(select, [*terms, f"state = {state}"]) for state in states]
    return " UNION ALL ".join(one_each), parameters * len(states)


def _where(select: str, terms: Sequence[str]) -> str:
    return f"{select} WHERE {' AND '.join(terms)}" if terms else select
