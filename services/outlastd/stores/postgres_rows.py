"""Changes as rows of the types that PostgreSQL takes them as (sql/postgresql/0003_rows.sql)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlastd.stores.deciding import wants_spans
from outlastd.stores.rows import (
    CHANGING_COLUMNS,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    REPORTED_COLUMNS,
    REPORTS,
    changing_values,
    event_values,
    fixed_values,
    reported_values,
)

#: The columns of each type, in their order.
ROW_TYPES: Mapping[str, Sequence[str]] = {
    "new_task": (*FIXED_COLUMNS, *CHANGING_COLUMNS),
    "changed_task": ("task_id", "known_generation", *CHANGING_COLUMNS),
    "reported_task": ("task_id", "known_generation", *REPORTED_COLUMNS),
    "new_event": (*EVENT_COLUMNS, "session_id"),
}


class Rows:
    """Changes as rows of our types, those of tasks by id: whoever locks several does it in this order."""

    def __init__(self) -> None:
        self.new: list[Any] = []
        self.changed: list[Any] = []
        #: Tasks of which somebody has reported only.
        self.reported: list[Any] = []
        self.events: list[Any] = []
        #: The ids of tasks whose spans are to be exported.
        self.spans: list[int] = []


def rows_of(changes: Sequence[Change], stored: Mapping[int, Task], policy: Policy) -> Rows:
    """Return changes as rows. ``stored`` are the tasks as they were; those that are not among them are new."""
    rows = Rows()
    tasks: dict[int, Task] = {}
    moved: set[int] = set()
    for change in changes:
        task, event = change.task, change.event
        tasks[task.task_id] = task
        rows.events.append((*event_values(event), task.session_id))
        if event.kind not in REPORTS:
            moved.add(task.task_id)
            if wants_spans(change, policy):
                rows.spans.append(task.task_id)
    for task_id in sorted(tasks):
        task, before = tasks[task_id], stored.get(task_id)
        if before is None:
            rows.new.append((*fixed_values(task), *changing_values(task)))
        elif task_id in moved:
            rows.changed.append((task_id, before.generation, *changing_values(task)))
        else:
            rows.reported.append((task_id, before.generation, *reported_values(task)))
    return rows
