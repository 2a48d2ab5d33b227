"""Requests to cancel, and tasks that are ended because they have waited too long."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from outlast.core import lifecycle
from outlast.core.errors import IllegalTransition
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Finish
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TERMINAL, StateReason, TaskState
from outlast.core.task import Task

from .making import AT, NOW, RETENTION, SECOND, do, task_in, waiting

GRACE = timedelta(seconds=10)
BEGUN = [TaskState.WORKING, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED]


def ask(task: Task, *, force: bool = False, now: datetime = NOW, grace: timedelta = GRACE) -> Change | None:
    """Ask to cancel a task."""
    return lifecycle.request_cancel(task, now, DEFAULT_POLICY, grace=grace, force=force)


def asked(task: Task, *, force: bool = False) -> Task:
    """Return a task that somebody has asked to cancel."""
    change = ask(task, force=force)
    assert change is not None
    return change.task


def overdue(task: Task, now: datetime) -> Change | None:
    """Look whether a task has waited too long."""
    return lifecycle.end_overdue(task, now, DEFAULT_POLICY)


@pytest.mark.parametrize("state", BEGUN)
def test_request(state: TaskState) -> None:
    """A task that has begun is asked, and goes on; no time ends it."""
    task = task_in(state)

    change = ask(task)

    assert change is not None
    assert change.task == replace(
        task, cancel_requested_at=NOW, state_reason="CANCEL_REQUESTED", generation=5, updated_at=NOW
    )
    assert change.event == TaskEvent(7, 5, EventKind.CANCEL_REQUESTED, NOW, state, "CANCEL_REQUESTED", attempt=1)


@pytest.mark.parametrize("task", [waiting(), task_in(TaskState.SUBMITTED, attempt=0, started_at=None)])
@pytest.mark.parametrize("force", [False, True])
def test_request_before_it_began(task: Task, force: bool) -> None:
    """A task that no worker has begun is CANCELED at once, whether or not one holds it."""
    change = ask(task, force=force)

    assert change is not None
    assert (change.task.state, change.task.state_reason) == (TaskState.CANCELED, "CANCEL_REQUESTED")
    assert change.event.kind is EventKind.STATE_CHANGED
    assert (change.task.cancel_requested_at, change.task.ended_at) == (NOW, NOW)
    assert change.task.worker_id == task.worker_id
    assert change.task.expires_at == NOW + RETENTION
    assert change.event.error is not None
    assert change.event.error.code == 1


@pytest.mark.parametrize(("attempt", "told"), [(0, "before it was started"), (1, "before its next attempt")])
def test_request_says_what_it_came_before(attempt: int, told: str) -> None:
    """A task that waits for its second attempt was started, and its error does not say otherwise."""
    change = ask(waiting(attempt=attempt))

    assert change is not None
    assert change.task.error is not None
    assert change.task.error.message == f"canceled {told}"


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_request_after_the_end(state: TaskState) -> None:
    """A task that has ended refuses and names its state."""
    with pytest.raises(IllegalTransition, match=f"{state.name} and cannot become CANCELED"):
        ask(task_in(state))


@pytest.mark.parametrize(
    ("force", "manual", "until"),
    [(False, False, None), (True, False, NOW + GRACE), (False, True, NOW + GRACE), (True, True, NOW + GRACE)],
)
def test_grace(force: bool, manual: bool, until: datetime | None) -> None:
    """With force, and where there is no code to reach, the grace runs from the request."""
    assert asked(task_in(TaskState.WORKING, manual=manual), force=force).cancel_until == until


def test_second_request() -> None:
    """A request that asks for no more than the first one is none."""
    polite = asked(task_in(TaskState.WORKING))
    forced = asked(task_in(TaskState.WORKING), force=True)

    assert ask(polite) is None
    assert ask(forced) is None
    assert ask(forced, force=True) is None
    assert ask(forced, force=True, now=NOW + SECOND) is None


def test_stricter_request() -> None:
    """A request with force after one without, or with less grace, is one more; the first one's time stays."""
    polite = asked(task_in(TaskState.WORKING))

    forced = ask(polite, force=True, now=NOW + SECOND)
    assert forced is not None
    sooner = ask(forced.task, force=True, now=NOW + SECOND, grace=timedelta())
    assert sooner is not None

    assert forced.task.cancel_until == NOW + SECOND + GRACE
    assert sooner.task.cancel_until == NOW + SECOND
    for change in (forced, sooner):
        assert change.event.kind is EventKind.CANCEL_REQUESTED
        assert change.task.cancel_requested_at == NOW


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED])
def test_end_within_the_grace(state: TaskState) -> None:
    """Whatever the code makes of the request wins, and nothing is left to be due."""
    task = do(Finish(state), asked(task_in(TaskState.WORKING), force=True)).task

    assert (task.state, task.cancel_until, task.cancel_requested_at) == (state, None, NOW)
    assert overdue(task, NOW + 9 * GRACE) is None


@pytest.mark.parametrize("state", BEGUN)
@pytest.mark.parametrize(
    ("manual", "reason"), [(False, StateReason.CANCEL_FORCED), (True, StateReason.CANCEL_REQUESTED)]
)
def test_grace_is_over(state: TaskState, manual: bool, reason: StateReason) -> None:
    """At the end of the grace, not before, the task is CANCELED: by force where there is code, else on request."""
    task = asked(task_in(state, manual=manual), force=True)
    assert overdue(task, NOW + GRACE - timedelta.resolution) is None

    change = overdue(task, NOW + GRACE)

    assert change is not None
    assert (change.task.state, change.task.state_reason) == (TaskState.CANCELED, reason)
    assert (change.task.cancel_until, change.task.ended_at) == (None, NOW + GRACE)
    assert (change.task.worker_id, change.task.epoch) == ("worker", 3)
    assert change.task.error == change.event.error
    assert change.task.error is not None
    assert (change.task.error.code, change.task.error.type) == (1, reason)


def test_queue_timeout() -> None:
    """At the end of its queue timeout, not before, a task is FAILED, and names the agent that has no worker for it."""
    task = waiting(queue_until=NOW)
    assert overdue(task, NOW - timedelta.resolution) is None

    change = overdue(task, NOW)

    assert change is not None
    assert (change.task.state, change.task.state_reason) == (TaskState.FAILED, "QUEUE_TIMEOUT")
    assert (change.task.queue_until, change.task.ended_at) == (None, NOW)
    assert change.task.error is not None
    assert (change.task.error.code, change.task.error.type) == (4, "QUEUE_TIMEOUT")
    assert "agent agent" in change.task.error.message


@pytest.mark.parametrize("state", TaskState)
def test_not_overdue(state: TaskState) -> None:
    """A task that waits for nothing, or that has ended, is never overdue."""
    assert overdue(task_in(state), datetime.max.replace(tzinfo=AT.tzinfo)) is None
    if state in TERMINAL:
        assert overdue(task_in(state, queue_until=AT, cancel_until=AT), NOW) is None
