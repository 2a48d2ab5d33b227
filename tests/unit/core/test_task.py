"""A task as a value, and what operations weigh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task

AT = datetime(2026, 11, 21, tzinfo=UTC)


def test_name() -> None:
    """A task is named after its id."""
    assert Task(4680601251139015056, "t", "a", TaskState.WORKING).name == "tasks/4680601251139015056"


@pytest.mark.parametrize(
    ("started_at", "ended_at", "duration"),
    [
        (None, None, timedelta()),
        (AT, None, timedelta()),
        (None, AT, timedelta()),
        (AT, AT + timedelta(seconds=10), timedelta(seconds=10)),
    ],
)
def test_duration(started_at: datetime | None, ended_at: datetime | None, duration: timedelta) -> None:
    """A task lasts from the start of its attempt to its end, and not at all while either is missing."""
    task = Task(1, "t", "a", TaskState.WORKING, started_at=started_at, ended_at=ended_at)

    assert task.duration == duration


@pytest.mark.parametrize(
    ("empty", "full"),
    [
        (Start("t"), Start("t", metadata=b"x" * 400, input=b"x" * 600)),
        (Output(b""), Output(b"x" * 1000)),
        (Finish(TaskState.COMPLETED), Finish(TaskState.COMPLETED, result=b"x" * 1000)),
    ],
)
def test_size(empty: Action, full: Action) -> None:
    """The size of an operation grows with the JSON that it carries."""
    assert Operation(1, 1, AT, full).size - Operation(1, 1, AT, empty).size == 1000


def test_size_of_progress() -> None:
    """A report of progress has a size, too."""
    assert Operation(1, 1, AT, Report(Progress(None, "", AT))).size > 0
