"""The SQL that SQLite is asked, by name. What the tables look like is in sql/sqlite/."""

from __future__ import annotations

from collections.abc import Sequence

from outlastd.stores.rows import (
    BASIC_COLUMNS,
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    FULL_COLUMNS,
    WORKER_COLUMNS,
)


def _columns(names: Sequence[str]) -> str:
    return ", ".join(names)


def _insert(table: str, names: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({_columns(names)}) VALUES ({_columns(['?'] * len(names))})"


#: A task without metadata, input and result.
SELECT_BASIC = f"SELECT {_columns(BASIC_COLUMNS)} FROM tasks"
#: A whole task.
SELECT_FULL = f"SELECT {_columns(FULL_COLUMNS)} FROM tasks"

#: One task. (task_id)
GET_TASK = f"{SELECT_FULL} WHERE task_id = ?"
#: Those that exist of some tasks. (a JSON array of ids: one statement, prepared once, whatever their number)
GET_TASKS = f"{SELECT_FULL} WHERE task_id IN (SELECT value FROM json_each(?))"
#: The task that a key made. (agent, key; the last term lets SQLite use the partial index)
GET_BY_IDEMPOTENCY_KEY = f"{SELECT_FULL} WHERE agent = ? AND idempotency_key = ? AND idempotency_key <> ''"
#: The tasks that a worker holds. (worker_id; the states are those of the partial index)
GET_HELD = f"{SELECT_FULL} WHERE worker_id = ? AND state IN (2, 6, 8) ORDER BY task_id"
#: A new task. (FIXED_COLUMNS, CHANGING_COLUMNS)
INSERT_TASK = _insert("tasks", (*FIXED_COLUMNS, *CHANGING_COLUMNS))
#: A changed task. (CHANGING_COLUMNS, task_id)
UPDATE_TASK = f"UPDATE tasks SET {_columns([f'{name} = ?' for name in CHANGING_COLUMNS])} WHERE task_id = ?"
#: Whether a task exists. (task_id)
TASK_EXISTS = "SELECT 1 FROM tasks WHERE task_id = ?"

#: An event. (EVENT_COLUMNS)
INSERT_EVENT = _insert("events", EVENT_COLUMNS)
#: Events of a task, with the result that belongs to the one that completed it. (task_id, after generation, limit)
GET_EVENTS = f"""
    SELECT {_columns([f"events.{name}" for name in EVENT_COLUMNS])},
           CASE WHEN events.state = 3 THEN tasks.result END
      FROM events JOIN tasks ON tasks.task_id = events.task_id
     WHERE events.task_id = ? AND events.generation > ?
     ORDER BY events.generation
     LIMIT ?
"""

#: One worker. (worker_id)
GET_WORKER = f"SELECT {_columns(WORKER_COLUMNS)} FROM workers WHERE worker_id = ?"
#: The workers that hold a task.
GET_HOLDERS = f"""
    SELECT {_columns(WORKER_COLUMNS)}
      FROM workers
     WHERE worker_id IN (SELECT worker_id FROM tasks INDEXED BY tasks_held WHERE state IN (2, 6, 8))
     ORDER BY epoch
"""
#: The next epoch.
ADVANCE_EPOCH = "UPDATE counters SET value = value + 1 WHERE name = 'epoch'"
GET_EPOCH = "SELECT value FROM counters WHERE name = 'epoch'"
#: A new worker. (WORKER_COLUMNS, registered_at)
INSERT_WORKER = _insert("workers", (*WORKER_COLUMNS, "registered_at"))
#: How far a worker's operations are applied. (sequence, worker_id)
UPDATE_APPLIED_SEQUENCE = "UPDATE workers SET applied_sequence = ? WHERE worker_id = ?"
