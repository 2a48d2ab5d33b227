"""What is shown of a change, and what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlastd.task_manager.projection import TelemetryProjector, project

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
TASK = Task(1, "research", "agent", TaskState.SUBMITTED, max_attempts=3, next_attempt_at=NOW + timedelta(seconds=2))


def change(kind: EventKind, state: TaskState, attempt: int) -> Change:
    """Return a change."""
    task = replace(TASK, state=state, attempt=attempt)
    return Change(task, TaskEvent(1, 1, kind, NOW, state, StateReason.BACKOFF, attempt))


@pytest.mark.parametrize(
    ("kind", "state", "attempt", "shown"),
    [
        (EventKind.STATE_CHANGED, TaskState.SUBMITTED, 0, []),
        (EventKind.STATE_CHANGED, TaskState.WORKING, 1, ["Async task started: research (ID: 1)"]),
        (
            EventKind.STATE_CHANGED,
            TaskState.SUBMITTED,
            1,
            ["Async task will run again: research (ID: 1, Attempt: 1 of 3, in 2.0s)"],
        ),
        (EventKind.STATE_CHANGED, TaskState.INPUT_REQUIRED, 1, []),
        (EventKind.STATE_CHANGED, TaskState.FAILED, 1, ["Async task failed: research (ID: 1, Duration: 0.00s)"]),
        (EventKind.PROGRESSED, TaskState.WORKING, 1, []),
        (EventKind.OUTPUT, TaskState.WORKING, 1, []),
        (EventKind.CANCEL_REQUESTED, TaskState.WORKING, 1, []),
    ],
)
def test_attempts_and_ends_are_shown(
    kind: EventKind, state: TaskState, attempt: int, shown: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A task that waits for its first attempt is no news, and neither is what is no change of state."""
    project(change(kind, state, attempt), TelemetryProjector())

    assert [json.loads(line)["message"] for line in capfd.readouterr().err.splitlines()] == shown


def test_a_projector_that_fails_harms_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """The change is durable, whatever becomes of its lines: one line says so."""

    class Failing(TelemetryProjector):
        def ended(self, task: Task) -> None:
            raise RuntimeError("no paper")

    project(change(EventKind.STATE_CHANGED, TaskState.COMPLETED, 1), Failing())

    [line] = capfd.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "task could not be shown"
