"""What changes write, before it takes the form that an engine has for it: each task once, and every event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.value import value
from outlastd.stores.deciding import own_until, wants_spans
from outlastd.stores.rows import REPORTS


@value(frozen=True, slots=True)
class Written:
    """Tasks as their newest changes leave them, in the order in which they were first changed."""

    new: list[Task] = field(default_factory=list)
    #: Those that have moved, and those of which somebody has reported only; each with the generation that is known.
    changed: list[tuple[int, Task]] = field(default_factory=list)
    reported: list[tuple[int, Task]] = field(default_factory=list)
    #: The ids of tasks whose spans are to be exported, each with until when this process has it to itself (own_until).
    spans: list[tuple[int, int]] = field(default_factory=list)


def written(changes: Sequence[Change], stored: Mapping[int, Task], policy: Policy) -> Written:
    """Return what changes write. ``stored`` are the tasks as they were; those that are not among them are new."""
    found = Written()
    tasks: dict[int, Task] = {}
    moved: set[int] = set()
    for change in changes:
        task = change.task
        tasks[task.task_id] = task
        if change.event.kind not in REPORTS:
            moved.add(task.task_id)
            if wants_spans(change, policy):
                found.spans.append((task.task_id, own_until(change, policy)))
    for task_id, task in tasks.items():
        before = stored.get(task_id)
        if before is None:
            found.new.append(task)
        else:
            (found.changed if task_id in moved else found.reported).append((before.generation, task))
    return found
