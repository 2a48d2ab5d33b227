"""What a store remembers of the tasks that it wrote last."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from outlast.core.operation import Action, Operation, Output, Start, Submit
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.stores import active_tasks
from outlastd.stores.active_tasks import ActiveTasks

AT = datetime(2026, 11, 21, tzinfo=UTC)


def task(task_id: int, state: TaskState = TaskState.WORKING, **fields: object) -> Task:
    """Return a task."""
    return Task(task_id, "research", "agent", state, **fields)  # type: ignore[arg-type]


def operation(task_id: int, action: Action) -> Operation:
    """Return an operation."""
    return Operation(1, task_id, AT, action)


def test_known_tasks() -> None:
    """A task that was written is known, as it was written last; one that a batch makes is taken to be new."""
    active = ActiveTasks()
    active.keep([task(1), task(1, generation=2)])
    chunk = Output(b"[]")

    assert active.expected([operation(1, chunk), operation(2, Start("t")), operation(2, chunk)]) == {
        1: task(1, generation=2)
    }
    assert active.expected([operation(3, Submit(Start("t")))]) == {}


def test_unknown_tasks() -> None:
    """Of a task that was not written here, or has ended since, nothing is known."""
    active = ActiveTasks()
    active.keep([task(1), task(2)])
    active.keep([task(1, TaskState.COMPLETED)])

    assert active.expected([operation(1, Output(b"[]"))]) is None
    assert active.expected([operation(2, Output(b"[]")), operation(3, Output(b"[]"))]) is None


def test_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the tasks that were written longest ago are forgotten, whatever makes them large."""
    monkeypatch.setattr(active_tasks, "MAX_BYTES", 10_000)
    active = ActiveTasks()
    active.keep([task(1), task(2), task(3, input=b"x" * 3_000)])
    active.keep([task(1)])
    active.keep([task(4, labels={"a": "x" * 2_000})])

    known = [number for number in range(1, 5) if active.expected([operation(number, Output(b"[]"))])]
    assert known == [1, 4]


def test_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is known with its newest applied sequence, until it is forgotten or too many others were seen."""
    monkeypatch.setattr(active_tasks, "MAX_WORKERS", 2)
    active = ActiveTasks()
    worker = Worker("a", "agent", 1)
    active.keep_worker(worker)
    active.keep_worker(worker, 7)
    assert active.worker("a") == replace(worker, applied_sequence=7)

    active.forget_worker("a")
    assert active.worker("a") is None
    for worker_id in "abc":
        active.keep_worker(Worker(worker_id, "agent", 1))
    assert [active.worker(worker_id) is not None for worker_id in "abc"] == [False, True, True]
