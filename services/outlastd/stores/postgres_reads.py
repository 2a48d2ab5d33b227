"""The queries of the PostgreSQL store."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from outlast.core.errors import InvalidField, TaskNotFound
from outlast.core.event import TaskEvent
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import deciding
from outlastd.stores import postgres_statements as statements
from outlastd.stores.port import Census, EndedTask, Position, SessionEvent, TaskFilter
from outlastd.stores.postgres_connection import Connection
from outlastd.stores.rows import census_from_row, event_from_row, microseconds, task_from_row, worker_from_row

#: Where a session's events are read on: the transaction and the number of the event before. Both fit 63 bits.
_CURSOR = re.compile("x([0-9]{1,18})n([0-9]{1,18})")
_START = (0, 0)


async def get(connection: Connection, task_id: int) -> Task:
    """Return a task, or raise TaskNotFound."""
    row = await connection.fetchrow(statements.GET_TASK, task_id)
    if row is None:
        raise TaskNotFound(task_id)
    return task_from_row(row)


async def get_tasks(connection: Connection, task_ids: Iterable[int]) -> dict[int, Task]:
    """Return those that exist of some tasks, by their ids."""
    rows = await connection.fetch(statements.GET_TASKS, list(task_ids))
    return {task.task_id: task for task in map(task_from_row, rows)}


async def find_worker(connection: Connection, worker_id: str, statement: str) -> Worker | None:
    """Return a worker by one of the statements that read one."""
    row = await connection.fetchrow(statement, worker_id)
    return None if row is None else worker_from_row(row)


async def get_workers(connection: Connection, worker_ids: Iterable[str]) -> dict[str, Worker]:
    """Return those that exist of some workers, by their ids."""
    rows = await connection.fetch(statements.GET_WORKERS, list(worker_ids))
    return {worker.worker_id: worker for worker in map(worker_from_row, rows)}


async def list_tasks(
    connection: Connection, which: TaskFilter, limit: int, after: Position | None, full: bool
) -> Sequence[Task]:
    """Return a page of tasks, newest first."""
    query, parameters = page(which, limit, after, full)
    return [task_from_row(row) for row in await connection.fetch(query, *parameters)]


async def held(connection: Connection, worker_id: str, full: bool) -> Sequence[Task]:
    """Return the tasks that a worker holds under its epoch, the oldest first."""
    query = statements.GET_HELD if full else statements.GET_BASIC_HELD
    return [task_from_row(row) for row in await connection.fetch(query, worker_id)]


async def cancel_requests(connection: Connection, worker_ids: Iterable[str]) -> Sequence[Task]:
    """Return the tasks that these workers hold and somebody has asked to cancel."""
    rows = await connection.fetch(statements.GET_CANCEL_REQUESTS, list(worker_ids))
    return [task_from_row(row) for row in rows]


async def census(connection: Connection, now: datetime) -> Sequence[Census]:
    """Count the tasks that have not ended, by agent and state."""
    return [census_from_row(row, now) for row in await connection.fetch(statements.GET_CENSUS, microseconds(now))]


async def living_workers(connection: Connection) -> Sequence[Worker]:
    """Return the workers whose lease nobody has taken away."""
    return [worker_from_row(row) for row in await connection.fetch(statements.GET_LIVING_WORKERS)]


async def events(connection: Connection, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
    """Return events of a task after a generation, in order, or raise TaskNotFound."""
    rows = await connection.fetch(statements.GET_EVENTS, task_id, after_generation, limit)
    if not rows:
        raise TaskNotFound(task_id)
    return [event_from_row(row) for row in rows if row[0] is not None]


async def session_events(
    connection: Connection, session_id: str, after: str, limit: int, agent: str
) -> Sequence[SessionEvent]:
    """Return events of a session after a cursor, in the order of their commits."""
    transaction, number = _place(after)
    rows = await connection.fetch(statements.GET_SESSION_EVENTS, session_id, str(transaction), number, agent, limit)
    if not rows and transaction >= await connection.fetchval(statements.GET_HORIZON):
        raise InvalidField("cursor", "is not one of this store")
    return [SessionEvent(event_from_row(row), f"x{transaction}n{number}") for transaction, number, *row in rows]


async def ended_tasks(connection: Connection, task_ids: Sequence[int]) -> Sequence[EndedTask]:
    """Return what the spans of some tasks are made from."""
    tasks = map(task_from_row, await connection.fetch(statements.GET_BASIC_TASKS, task_ids))
    return deciding.ended_tasks(tasks, map(event_from_row, await connection.fetch(statements.GET_MOVES, task_ids)))


def page(which: TaskFilter, limit: int, after: Position | None, full: bool) -> tuple[str, Sequence[Any]]:
    """Build the query of a page, so that one index gives the rows in the order of the list.

    The most telling filter goes through its index: the session, else the state, else the agent. Something done to a
    column (``+ 0``) keeps PostgreSQL from using the index of that column. Each of several states has a query of its
    own, which PostgreSQL merges: a state that few tasks are in is found without reading the others.
    """
    select = statements.SELECT_FULL if full else statements.SELECT_BASIC
    parameters: list[Any] = [limit]
    terms: list[str] = []
    order = "ORDER BY created_at DESC, task_id DESC LIMIT $1"
    by_agent = bool(which.agent) and not (which.session_id or which.states)

    def parameter(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    if which.session_id:
        session = parameter(which.session_id)
        terms.append(f"session_key = hashtextextended({session}, 0) AND session_id = {session}")
    agent = parameter(which.agent) if which.agent else ""
    if by_agent:
        # No equality, and the order names the agent: only the agent's index has it then, however common the agent is.
        terms.append(f"agent BETWEEN {agent} AND {agent}")
        order = order.replace("ORDER BY", "ORDER BY agent DESC,")
    elif agent:
        terms.append(f"agent || '' = {agent}")
    if after is not None:
        place = f"{parameter(microseconds(after.created_at))}, {parameter(after.task_id)}"
        terms.append(
            f"(agent, created_at, task_id) < ({agent}, {place})" if by_agent else f"(created_at, task_id) < ({place})"
        )
    states = [str(int(state)) for state in sorted(which.states)]
    if which.session_id and states:
        terms.append(f"state + 0 IN ({', '.join(states)})")
    if which.session_id or not states:
        return f"{_where(select, terms)} {order}", parameters
    one_each = [f"({_where(select, [*terms, f'state = {state}'])} {order})" for state in states]
    return f"SELECT * FROM ({' UNION ALL '.join(one_each)}) AS tasks {order}", parameters


def _where(select: str, terms: Sequence[str]) -> str:
    return f"{select} WHERE {' AND '.join(terms)}" if terms else select


def _place(cursor: str) -> tuple[int, int]:
    """Return the transaction and the number of the event that a cursor stands after."""
    if not cursor:
        return _START
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise InvalidField("cursor", "is not one of this store")
    return int(found[1]), int(found[2])
