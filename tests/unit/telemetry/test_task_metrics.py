"""What is counted of a task's changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from outlast.core import lifecycle
from outlast.core.event import Change
from outlast.core.operation import Action, Finish, Operation, Report, Start, Submit
from outlast.core.policy import Policy
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Progress, Task, TaskError, TraceContext
from outlast.core.worker import Worker
from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.task_metrics import TaskMetrics, count_lost_leases

from ...metered import Figures, metered

AT = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
POLICY = Policy()
WORKER = Worker("w", "research", epoch=1)
NEW = Task(7, "dig", "research", TaskState.SUBMITTED, max_attempts=2, input=b"{}")
BASE = (("agent", "research"), ("task_type", "dig"))


def series(**more: str) -> tuple[tuple[str, str], ...]:
    """Return the attributes of a series of the task's."""
    return tuple(sorted((*BASE, *((name.replace("_", "."), value) for name, value in more.items()))))


COMPLETED, FAILED, CANCELED = (series(outcome=state) for state in ("COMPLETED", "FAILED", "CANCELED"))


class Script:
    """A task's life: each step is the lifecycle's own, some seconds after the one before."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.now = AT

    def after(self, seconds: float) -> Script:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self

    @property
    def task(self) -> Task:
        """The task as it stands."""
        return self.changes[-1].task

    def add(self, change: Change | None) -> Script:
        """Take a step."""
        assert change is not None
        self.changes.append(change)
        return self

    def does(self, action: Action) -> Script:
        """Have the worker do something."""
        task = self.task if self.changes else None
        operation = Operation(len(self.changes) + 1, 7, self.now, action)
        return self.add(lifecycle.apply_operation(task, operation, WORKER, self.now, POLICY))

    def submitted(self, task: Task = NEW) -> Script:
        """Have somebody create it."""
        return self.add(lifecycle.submit(task, self.now, POLICY))

    def claimed(self) -> Script:
        """Give it to the worker."""
        return self.add(lifecycle.claim(self.task, WORKER, self.now))

    def lost(self) -> Script:
        """Lose the worker."""
        return self.add(lifecycle.lose(self.task, StateReason.WORKER_LOST, "gone", self.now, POLICY))

    def asked_to_cancel(self) -> Script:
        """Ask to cancel it."""
        return self.add(lifecycle.request_cancel(self.task, self.now, POLICY, grace=timedelta(0)))


@pytest.fixture
def figures() -> Iterator[Figures]:
    """Switch metrics on."""
    with metered() as figures:
        yield figures


def noted(script: Script) -> None:
    """Count a script's changes."""
    active = metering.active()
    assert active is not None
    TaskMetrics(active.meter).note(script.changes)


def test_a_task_that_had_to_wait(figures: Figures) -> None:
    """It is created and completed once, and its wait, its attempt and its life are timed apart."""
    noted(Script().submitted().after(30).claimed().after(12).does(Finish(TaskState.COMPLETED)))

    assert figures.values("outlast.task.created") == {BASE: 1}
    assert figures.values("outlast.task.completed") == {COMPLETED: 1}
    assert figures.sums("outlast.task.queue.duration") == {BASE: 30}
    assert figures.sums("outlast.task.attempt.duration") == {COMPLETED: 12}
    assert figures.sums("outlast.task.e2e.duration") == {COMPLETED: 42}
    assert "outlast.task.cancel.duration" not in figures.metrics()
    assert "outlast.task.attempts.lost" not in figures.metrics()


def test_a_task_that_its_worker_starts_at_once_has_not_waited(figures: Figures) -> None:
    """It is created all the same, and what it reports on its way is no change of state."""
    script = Script().does(Start("dig")).after(1).does(Report(Progress(0.5, "", AT)))
    noted(script.does(Finish(TaskState.COMPLETED)))

    assert figures.values("outlast.task.created") == {BASE: 1}
    assert "outlast.task.queue.duration" not in figures.metrics()
    assert figures.values("outlast.task.completed") == {COMPLETED: 1}


def test_a_task_that_waits_for_its_own_worker_has_waited(figures: Figures) -> None:
    """One beyond the worker's bound is recorded first, and started when there is room."""
    noted(Script().does(Submit(Start("dig"), StateReason.WORKER_BUSY)).after(4).does(Start("dig")))

    assert figures.values("outlast.task.created") == {BASE: 1}
    assert figures.sums("outlast.task.queue.duration") == {BASE: 4}


def test_every_attempt_is_timed_and_a_lost_one_is_counted(figures: Figures) -> None:
    """The first ends with its worker, the second with the task."""
    script = Script().submitted().claimed().after(5).lost().after(60).claimed().after(7)
    noted(script.does(Finish(TaskState.COMPLETED)))

    assert figures.sums("outlast.task.attempt.duration") == {FAILED: 5, COMPLETED: 7}
    assert figures.values("outlast.task.attempts.lost") == {BASE: 1}
    assert figures.values("outlast.task.completed") == {COMPLETED: 1}
    assert figures.values("outlast.task.queue.duration") == {BASE: 1}  # a backoff is no queue


def test_the_last_attempt_may_be_lost_too(figures: Figures) -> None:
    """Its task FAILED, with the reason as the error's type."""
    noted(Script().submitted(replace(NEW, max_attempts=1)).claimed().after(5).lost())

    assert figures.values("outlast.task.attempts.lost") == {BASE: 1}
    assert figures.values("outlast.task.completed") == {series(outcome="FAILED", error_type="WORKER_LOST"): 1}


def test_a_cancel_is_timed_from_its_request(figures: Figures) -> None:
    """However long the task ran before."""
    script = Script().submitted().claimed().after(100).asked_to_cancel().after(3)
    noted(script.does(Finish(TaskState.CANCELED, StateReason.CANCEL_REQUESTED)))

    assert figures.sums("outlast.task.cancel.duration") == {CANCELED: 3}
    assert figures.sums("outlast.task.attempt.duration") == {CANCELED: 103}


def test_a_task_that_ends_between_two_attempts_does_not_end_one(figures: Figures) -> None:
    """The attempt before was timed when it ended."""
    noted(Script().submitted().claimed().after(5).lost().after(1).asked_to_cancel())

    assert figures.sums("outlast.task.attempt.duration") == {FAILED: 5}
    assert figures.values("outlast.task.completed") == {CANCELED: 1}
    assert figures.values("outlast.task.attempts.lost") == {BASE: 1}


def test_a_failure_is_counted_by_the_type_of_its_error(figures: Figures) -> None:
    """The message may be anything, and is in no figure."""
    script = Script().submitted(replace(NEW, max_attempts=1)).claimed()
    noted(script.does(Finish(TaskState.FAILED, error=TaskError(2, "secret", "ValueError"))))

    assert figures.values("outlast.task.completed") == {series(outcome="FAILED", error_type="ValueError"): 1}
    assert figures.values("outlast.task.e2e.duration") == {FAILED: 1}


def test_a_figure_names_the_span_of_a_sampled_task(figures: Figures) -> None:
    """The exemplar of a duration is the task's own span, which has its id."""
    trace = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    script = Script().submitted(replace(NEW, trace_context=trace)).claimed()
    noted(script.does(Finish(TaskState.COMPLETED)))

    [point] = figures.metrics()["outlast.task.e2e.duration"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    [exemplar] = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, 7)


def test_eight_hours_have_a_bucket(figures: Figures) -> None:
    """Agent work takes hours: the default bounds of OpenTelemetry end after three."""
    noted(Script().submitted().after(8 * 3600).claimed())

    [point] = figures.metrics()["outlast.task.queue.duration"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert point.explicit_bounds[-1] == 28_800
    assert list(point.bucket_counts[-2:]) == [1, 0]


def test_lost_leases_and_deleted_tasks_are_counted(figures: Figures) -> None:
    """And with metrics off nothing is, nor loaded."""
    count_lost_leases(0)
    count_lost_leases(2)
    active = metering.active()
    assert active is not None
    TaskMetrics(active.meter).expired(3)

    assert figures.values("outlast.task.lease.lost") == {(): 2}
    assert figures.values("outlast.task.expired") == {(): 3}
