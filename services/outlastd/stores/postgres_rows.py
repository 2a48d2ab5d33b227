"""Changes as rows of the types that PostgreSQL takes them as (sql/postgresql/0003_rows.sql)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlastd.stores.rows import (
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    REPORTED_COLUMNS,
    changing_values,
    event_values,
    fixed_values,
    reported_values,
)
from outlastd.stores.written import written

#: The columns of each type, in their order.
ROW_TYPES: Mapping[str, Sequence[str]] = {
    "new_task": (*FIXED_COLUMNS, *CHANGING_COLUMNS),
    "changed_task": ("task_id", "known_generation", *CHANGING_COLUMNS),
    "reported_task": ("task_id", "known_generation", *REPORTED_COLUMNS),
    "new_event": (*EVENT_COLUMNS, "session_id"),
}


class Rows:
    """Changes as rows of our types, those of tasks by id: whoever locks several does it in this order."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self.new: list[Any] = []
        self.changed: list[Any] = []
        #: Tasks of which somebody has reported only.
        self.reported: list[Any] = []
        self.events: list[Any] = []
        #: Tasks whose spans are to be exported (Written.spans).
        self.spans = spans


def rows_of(changes: Sequence[Change], stored: Mapping[int, Task], policy: Policy) -> Rows:
    """Return changes as rows. ``stored`` are the tasks as they were; those that are not among them are new."""
    found = written(changes, stored, policy)
    rows = Rows(found.spans)
    for change in changes:
        rows.events.append((*event_values(change.event), change.task.session_id))
    for task in sorted(found.new, key=_task_id):
        rows.new.append((*fixed_values(task), *changing_values(task)))
    for generation, task in sorted(found.changed, key=_known_task_id):
        rows.changed.append((task.task_id, generation, *changing_values(task)))
    for generation, task in sorted(found.reported, key=_known_task_id):
        rows.reported.append((task.task_id, generation, *reported_values(task)))
    return rows


def _task_id(task: Task) -> int:
    return task.task_id


def _known_task_id(known: tuple[int, Task]) -> int:
    return known[1].task_id
