"""The SQL that SQLite is asked, by name. What the tables look like is in sql/sqlite/.

Without statistics SQLite takes a partial index for no better than a whole one: where that matters the statement names
its index. A later schema that this code is to work on keeps the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from outlastd.stores.rows import (
    BASIC_COLUMNS,
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    FULL_COLUMNS,
    WORKER_COLUMNS,
)
from outlastd.stores.session_rows import SESSION_CHANGING, SESSION_COLUMNS


def _columns(names: Sequence[str]) -> str:
    return ", ".join(names)


def _insert(table: str, names: Sequence[str], verb: str = "INSERT") -> str:
    return f"{verb} INTO {table} ({_columns(names)}) VALUES ({_columns(['?'] * len(names))})"


@cache
def many(insert: str, count: int) -> str:
    """Return an insert of one row as one of ``count``, whose parameters come row by row; rows of NULL are left out."""
    head, _, row = insert.partition(" VALUES ")
    return f"{head} SELECT * FROM (VALUES {', '.join([row] * count)}) WHERE column1 IS NOT NULL"


@cache
def insert_events(count: int) -> str:
    """Return the insert of ``count`` events; the last parameter of each is how far its number is from the newest."""
    columns = _columns([f"column{number}" for number in range(1, len(EVENT_COLUMNS) + 2)])
    number = f"({GET_EVENT_NUMBER}) - column{len(EVENT_COLUMNS) + 2}"
    return many(INSERT_EVENT, count).replace("SELECT *", f"SELECT {columns}, {number}", 1)


@cache
def update_tasks(names: Sequence[str], count: int) -> str:
    """Return the update of ``count`` tasks that are as they were known: the generation says so.

    The parameters come task by task: task_id, the known generation, the values of ``names``.
    """
    if count == 1:
        values = _columns([f"{name} = ?{number}" for number, name in enumerate(names, 3)])
        return f"UPDATE tasks SET {values} WHERE task_id = ?1 AND generation = ?2"
    values = _columns([f"{name} = known.column{number}" for number, name in enumerate(names, 3)])
    row = f"({_columns(['?'] * (len(names) + 2))})"
    return f"""
        UPDATE tasks SET {values}
          FROM (VALUES {", ".join([row] * count)}) AS known
         WHERE tasks.task_id = known.column1 AND tasks.generation = known.column2
    """


@cache
def update_applied(count: int) -> str:
    """Return the update of how far the operations of ``count`` workers are applied, which is a sign of life.

    The parameters come worker by worker: worker_id, the known epoch, the known sequence, the new one, until. One whose
    row is not as it was known is not updated.
    """
    if count == 1:
        return """
            UPDATE workers SET applied_sequence = ?4, lease_until = ?5, lost_at = NULL
             WHERE worker_id = ?1 AND epoch = ?2 AND applied_sequence = ?3
        """
    return f"""
        UPDATE workers SET applied_sequence = known.column4, lease_until = known.column5, lost_at = NULL
          FROM (VALUES {_columns(["(?, ?, ?, ?, ?)"] * count)}) AS known
         WHERE worker_id = known.column1 AND epoch = known.column2 AND applied_sequence = known.column3
    """


#: A task without metadata, input and result.
SELECT_BASIC = f"SELECT {_columns(BASIC_COLUMNS)} FROM tasks"
#: A whole task.
SELECT_FULL = f"SELECT {_columns(FULL_COLUMNS)} FROM tasks"

#: One task. (task_id)
GET_TASK = f"{SELECT_FULL} WHERE task_id = ?"
#: Those that exist of some tasks. (a JSON array of ids: one statement, prepared once, whatever their number)
GET_TASKS = f"{SELECT_FULL} WHERE task_id IN (SELECT value FROM json_each(?))"
#: Those that exist of some tasks, without what may be large. (a JSON array of ids)
GET_BASIC_TASKS = f"{SELECT_BASIC} WHERE task_id IN (SELECT value FROM json_each(?))"
_HELD = """
    {select} WHERE worker_id = ? AND state IN (2, 6, 8)
    UNION ALL
    {select} INDEXED BY tasks_held_waiting WHERE worker_id = ? AND worker_id <> '' AND state = 1
    ORDER BY created_at, task_id
"""
#: The tasks that a worker holds. (worker_id, worker_id; each half has an index of its own)
GET_HELD = _HELD.format(select=SELECT_FULL)
#: The same without what may be large.
GET_BASIC_HELD = _HELD.format(select=SELECT_BASIC)
#: The tasks that a worker may claim, the oldest first. (agent, a JSON array of types, session, session, now, limit)
GET_CLAIMABLE = """
    SELECT task_id
      FROM tasks
     WHERE agent = ? AND state = 1 AND worker_id = ''
       AND task_type IN (SELECT value FROM json_each(?))
       AND (? = '' OR session_id = ?)
       AND (next_attempt_at IS NULL OR next_attempt_at <= ?)
     ORDER BY created_at, task_id
     LIMIT ?
"""
#: How many tasks of an agent are submitted and nobody's. (agent, the number at which to stop counting)
COUNT_BACKLOG = """
    SELECT count(*) FROM (SELECT 1 FROM tasks WHERE agent = ? AND state = 1 AND worker_id = '' LIMIT ?)
"""
#: The tasks that have waited too long. Older code moves a task on and leaves the two times as they are.
#: (now, now, limit)
GET_OVERDUE = """
    SELECT task_id FROM tasks INDEXED BY tasks_by_queue_until WHERE queue_until <= ? AND state = 1
    UNION ALL
    SELECT task_id FROM tasks INDEXED BY tasks_by_cancel_until WHERE cancel_until <= ? AND state IN (2, 6, 8)
    LIMIT ?
"""
#: The tasks that some workers hold and somebody has asked to cancel. (a JSON array of worker ids)
GET_CANCEL_REQUESTS = f"""
    {SELECT_BASIC} INDEXED BY tasks_cancel_requested
     WHERE cancel_requested_at IS NOT NULL AND state IN (2, 6, 8) AND worker_id IN (SELECT value FROM json_each(?))
     ORDER BY cancel_requested_at, task_id
"""
#: How many tasks have not ended, by agent and state; how many of them any worker may begin, and since when the first of
#: these has waited. (now)
GET_CENSUS = """
    SELECT agent, state, count(*), count(since), min(since)
      FROM (SELECT agent, state,
                   CASE WHEN state = 1 AND worker_id = '' AND coalesce(next_attempt_at, 0) <= ?
                        THEN max(updated_at, coalesce(next_attempt_at, 0)) END AS since
              FROM tasks INDEXED BY tasks_by_state
             WHERE state IN (1, 2, 6, 8))
     GROUP BY agent, state
"""
#: A new task. (FIXED_COLUMNS, CHANGING_COLUMNS)
INSERT_TASK = _insert("tasks", (*FIXED_COLUMNS, *CHANGING_COLUMNS))
#: Whether a task exists. (task_id)
TASK_EXISTS = "SELECT 1 FROM tasks WHERE task_id = ?"
#: A task goes, and its events, its key and its row in the outbox with it. (task_id)
DELETE_TASK = "DELETE FROM tasks WHERE task_id = ?"
#: Terminal tasks whose time has come. (now, limit)
DELETE_EXPIRED_TASKS = """
    DELETE FROM tasks
     WHERE task_id IN (
           SELECT task_id
             FROM tasks INDEXED BY tasks_by_expiry
            WHERE expires_at <= ? AND state IN (3, 4, 5, 7)
            ORDER BY expires_at
            LIMIT ?)
"""

#: The task that a key has made and still stands for. (caller, agent, key, now)
GET_BY_KEY = f"""
    {SELECT_FULL}
     WHERE task_id = (
           SELECT task_id FROM idempotency_keys WHERE caller = ? AND agent = ? AND key = ? AND expires_at > ?)
"""
#: A key, in the place of one that has expired. (caller, agent, key, task_id, expires_at)
SET_KEY = _insert("idempotency_keys", ("caller", "agent", "key", "task_id", "expires_at"), "INSERT OR REPLACE")
#: Keys that have expired. (now, limit)
DELETE_EXPIRED_KEYS = """
    DELETE FROM idempotency_keys
     WHERE rowid IN (SELECT rowid FROM idempotency_keys WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""

#: Some more events get numbers. (how many)
ADVANCE_EVENT = "UPDATE counters SET value = value + ? WHERE name = 'event'"
#: The number of the newest event.
GET_EVENT_NUMBER = "SELECT value FROM counters WHERE name = 'event'"
#: An event. (EVENT_COLUMNS, its task's session, its number)
INSERT_EVENT = _insert("events", (*EVENT_COLUMNS, "session_id", "seq"))
#: What ``rows.event_from_row`` reads: an event, with the result that belongs to the one that completed its task.
_SELECT_EVENT = f"""
    SELECT {_columns([f"events.{name}" for name in EVENT_COLUMNS])},
           CASE WHEN events.state = 3 THEN tasks.result END
"""
#: Events of a task. (task_id, after generation, limit)
GET_EVENTS = f"""
    {_SELECT_EVENT}
      FROM events JOIN tasks ON tasks.task_id = events.task_id
     WHERE events.task_id = ? AND events.generation > ?
     ORDER BY events.generation
     LIMIT ?
"""
#: The moves of some tasks from state to state, without results. (a JSON array of task ids)
GET_MOVES = f"""
    SELECT {_columns(EVENT_COLUMNS)}, NULL
      FROM events
     WHERE task_id IN (SELECT value FROM json_each(?)) AND kind = 1
     ORDER BY task_id, generation
"""
#: Events of a session, each with its number first. (session_id, after number, agent, agent, limit)
GET_SESSION_EVENTS = f"""
    {_SELECT_EVENT.replace("SELECT", "SELECT events.seq,", 1)}
      FROM events JOIN tasks ON tasks.task_id = events.task_id
     WHERE events.session_id = ? AND events.session_id <> '' AND events.seq > ? AND (? = '' OR tasks.agent = ?)
     ORDER BY events.seq
     LIMIT ?
"""

#: Tasks whose spans wait, and until when they are somebody's already. (until, a JSON array of task ids)
ADD_TO_OUTBOX = "INSERT INTO span_outbox (claimed_until, task_id) SELECT ?, value FROM json_each(?)"
#: Those that nobody is at. (now, limit)
GET_OUTBOX = "SELECT task_id FROM span_outbox WHERE claimed_until <= ? ORDER BY claimed_until, task_id LIMIT ?"
#: Somebody is at them. (until, a JSON array of task ids)
CLAIM_OUTBOX = "UPDATE span_outbox SET claimed_until = ? WHERE task_id IN (SELECT value FROM json_each(?))"
#: Their spans are exported. (a JSON array of task ids)
DROP_FROM_OUTBOX = "DELETE FROM span_outbox WHERE task_id IN (SELECT value FROM json_each(?))"

#: One worker. (worker_id)
GET_WORKER = f"SELECT {_columns(WORKER_COLUMNS)} FROM workers WHERE worker_id = ?"
#: The workers whose lease nobody has taken away.
GET_LIVING_WORKERS = f"""
    SELECT {_columns(WORKER_COLUMNS)} FROM workers WHERE lease_until IS NOT NULL ORDER BY +epoch
"""
#: Those of one agent. (agent)
GET_LIVING_WORKERS_OF = f"SELECT {_columns(WORKER_COLUMNS)} FROM workers WHERE agent = ? AND lease_until IS NOT NULL"
#: The workers whose lease has run out. (by when, a JSON array of those to spare, limit)
GET_EXPIRED_WORKERS = """
    SELECT worker_id FROM workers
     WHERE lease_until <= ? AND worker_id NOT IN (SELECT value FROM json_each(?))
     ORDER BY +epoch
     LIMIT ?
"""
#: The next epoch.
ADVANCE_EPOCH = "UPDATE counters SET value = value + 1 WHERE name = 'epoch'"
GET_EPOCH = "SELECT value FROM counters WHERE name = 'epoch'"
#: A new worker. (WORKER_COLUMNS, registered_at)
INSERT_WORKER = _insert("workers", (*WORKER_COLUMNS, "registered_at"))
#: What a worker says when it connects again. (agent, lock_path, session_id, task_types, draining, until, worker_id)
UPDATE_WORKER = """
    UPDATE workers
       SET agent = ?, lock_path = ?, session_id = ?, task_types = ?, draining = ?, lease_until = ?, lost_at = NULL
     WHERE worker_id = ?
"""
#: A sign of life; who drains goes on draining. (until, draining, worker_id, epoch)
RENEW_LEASE = """
    UPDATE workers SET lease_until = ?, draining = max(draining, ?), lost_at = NULL WHERE worker_id = ? AND epoch = ?
"""
#: A worker has lost its lease. (the next epoch, now, worker_id)
LOSE_LEASE = """
    UPDATE workers
       SET epoch = ?, lost_sequence = applied_sequence, lease_until = NULL, lost_at = ?
     WHERE worker_id = ?
"""
#: Workers that lost their lease long ago. They hold nothing: what is done under the next epoch renews a lease.
#: (lost before, limit)
DELETE_LOST_WORKERS = """
    DELETE FROM workers
     WHERE worker_id IN (SELECT worker_id FROM workers WHERE lost_at <= ? ORDER BY lost_at LIMIT ?)
"""

#: A whole session.
SELECT_SESSION = f"SELECT {_columns(SESSION_COLUMNS)} FROM sessions"
#: One session. (agent, session_id)
GET_SESSION = f"{SELECT_SESSION} WHERE agent = ? AND session_id = ?"
#: The sessions of a host that have not ended. (host)
GET_LIVING_SESSIONS = f"{SELECT_SESSION} INDEXED BY sessions_living WHERE host = ? AND state <> 4"
#: A new session. (SESSION_COLUMNS)
INSERT_SESSION = _insert("sessions", SESSION_COLUMNS)
#: A changed session. (SESSION_CHANGING, agent, session_id)
UPDATE_SESSION = f"""
    UPDATE sessions SET {_columns([f"{name} = ?" for name in SESSION_CHANGING])} WHERE agent = ? AND session_id = ?
"""
#: How many tasks of some sessions have not ended. (a JSON array of [agent, session_id])
COUNT_ACTIVE_TASKS = """
    SELECT agent, session_id, count(*)
      FROM json_each(?) AS keys CROSS JOIN tasks INDEXED BY tasks_by_session
     WHERE session_id = json_extract(keys.value, '$[1]') AND session_id <> ''
       AND agent = json_extract(keys.value, '$[0]') AND state IN (1, 2, 6, 8)
     GROUP BY keys.key
"""
#: Sessions that ended long ago and of which no task is kept. (ended before, limit)
DELETE_ENDED_SESSIONS = """
    DELETE FROM sessions
     WHERE (agent, session_id) IN (
           SELECT agent, session_id
             FROM sessions INDEXED BY sessions_by_end
            WHERE ended_at <= ? AND NOT EXISTS (
                  SELECT 1 FROM tasks INDEXED BY tasks_by_session
                   WHERE tasks.session_id = sessions.session_id AND tasks.session_id <> ''
                     AND tasks.agent = sessions.agent)
            ORDER BY ended_at
            LIMIT ?)
"""
