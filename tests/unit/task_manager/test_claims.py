"""Which of the tasks that a worker holds were given to it, and have to be said again on a new stream."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlastd.task_manager.workers import ConnectedWorker

WORKER = Worker("worker", "agent", epoch=9, lost_sequence=20, task_types=frozenset({"research"}))
TASK = Task(7, "research", "agent", TaskState.WORKING, worker_id="worker", epoch=9, attempt=1)


class Commands:
    """Remembers what went down."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int]] = []

    def run(self, task: Task) -> None:
        """Remember an attempt."""
        self.given.append((task.task_id, task.attempt))

    def cancel(self, task_id: int, reason: str, *, ended: bool = False) -> None:
        """No test here asks for it."""
        raise AssertionError


@pytest.mark.parametrize(
    ("held", "claimed"),
    [
        (replace(TASK, created_by=("", 0)), True),
        (replace(TASK, created_by=("worker", 21)), False),
        (replace(TASK, created_by=("worker", 21), attempt=2), True),
        (replace(TASK, created_by=("other", 3)), True),
        (replace(TASK, created_by=("worker", 20)), True),
        (replace(TASK, created_by=("worker", 21), attempt=0, state=TaskState.SUBMITTED), False),
    ],
    ids=["created", "own start", "own, again", "released by another", "own, before the lease was lost", "waits in it"],
)
def test_what_was_claimed_is_given_again(held: Task, claimed: bool) -> None:
    """All that the worker did not begin by its own start, on a new stream and once on each."""
    commands = Commands()
    worker = ConnectedWorker(WORKER, 0, commands, [held])
    worker.resume(held)
    assert commands.given == ([(7, held.attempt)] if claimed else [])
    assert worker.held == {7}
