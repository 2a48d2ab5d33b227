"""Tasks that wait for a worker, and which of them run again after what."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from outlast.core import another_attempt, lifecycle
from outlast.core.errors import IllegalTransition
from outlast.core.event import EventKind, TaskEvent
from outlast.core.operation import Finish, Start, Submit
from outlast.core.policy import DEFAULT_BACKOFF, DEFAULT_POLICY, MAX_BACKOFF, Policy
from outlast.core.state import TERMINAL, StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.core.worker import Worker

from .making import AT, ERROR, NOW, QUEUE_TIMEOUT, SECOND, WORKER, do, task_in, waiting

FOR_EVER = replace(DEFAULT_POLICY, queue_timeout=None)
LOST = TaskError(10, "gone", "WORKER_LOST")


def failed(reason: str = "") -> Finish:
    """Return the end of an attempt that went wrong."""
    return Finish(TaskState.FAILED, reason, error=ERROR)


def test_submit() -> None:
    """A submitted task begins at generation 1, by the store's clock, whatever the request said."""
    task = Task(7, "research", "agent", TaskState.WORKING, state_reason="NO_WORKER", generation=9, created_at=AT)

    change = lifecycle.submit(task, NOW, DEFAULT_POLICY)

    assert change.task == waiting(
        state_reason="NO_WORKER", created_at=NOW, updated_at=NOW, queue_until=NOW + QUEUE_TIMEOUT
    )
    assert change.event == TaskEvent(7, 1, EventKind.STATE_CHANGED, NOW, TaskState.SUBMITTED, "NO_WORKER")


@pytest.mark.parametrize(
    ("own", "policy", "until"),
    [
        (None, DEFAULT_POLICY, NOW + QUEUE_TIMEOUT),
        (None, FOR_EVER, None),
        (3 * SECOND, DEFAULT_POLICY, NOW + 3 * SECOND),
        (3 * SECOND, FOR_EVER, NOW + 3 * SECOND),
    ],
)
def test_queue_timeout(own: timedelta | None, policy: Policy, until: datetime | None) -> None:
    """How long a task may wait it says itself, or else the policy does; None is for ever."""
    assert lifecycle.submit(waiting(queue_timeout=own), NOW, policy).task.queue_until == until


def test_claim() -> None:
    """A claimed task is WORKING under its worker's epoch, in its next attempt, by the store's clock."""
    task = waiting(state_reason="BACKOFF", attempt=1, next_attempt_at=NOW, queue_until=NOW, started_at=AT)

    change = lifecycle.claim(task, WORKER, NOW)

    assert change.task == waiting(
        state=TaskState.WORKING,
        worker_id="worker",
        epoch=3,
        attempt=2,
        generation=2,
        started_at=NOW,
        updated_at=NOW,
    )
    assert change.event == TaskEvent(7, 2, EventKind.STATE_CHANGED, NOW, TaskState.WORKING, attempt=2)


@pytest.mark.parametrize("state", TaskState)
def test_claim_of_what_somebody_holds(state: TaskState) -> None:
    """What a worker holds, or has held to its end, nobody claims."""
    with pytest.raises(IllegalTransition, match=state.name):
        lifecycle.claim(task_in(state), WORKER, NOW)


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_claim_of_what_ended_before_it_began(state: TaskState) -> None:
    """What has ended while it waited nobody claims."""
    with pytest.raises(IllegalTransition, match=state.name):
        lifecycle.claim(waiting(state=state), WORKER, NOW)


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("", True),
        ("DEADLINE", True),
        ("WORKER_LOST", True),
        ("WORKER_SHUTDOWN", True),
        ("RESULT_REFUSED", False),
        ("STORE_REFUSED", False),
        ("a reason of its own", False),
    ],
)
def test_what_is_worth_another_attempt(reason: str, again: bool) -> None:
    """What user code raised, a deadline and a lost worker are; what cannot be kept or written never is."""
    task = task_in(TaskState.WORKING, max_attempts=2)

    assert again is another_attempt.may_run_again(task, failed(reason))
    state = do(failed(reason), task).task.state
    assert state is (TaskState.SUBMITTED if again else TaskState.FAILED)


@pytest.mark.parametrize(
    "task",
    [
        task_in(TaskState.WORKING),
        task_in(TaskState.WORKING, attempt=2, max_attempts=2),
        task_in(TaskState.WORKING, max_attempts=2, cancel_requested_at=AT),
        task_in(TaskState.SUBMITTED, attempt=0, max_attempts=2),
    ],
)
def test_no_other_attempt(task: Task) -> None:
    """A task whose attempts are used up, that somebody asked to cancel, or that never began ends with its failure."""
    assert not another_attempt.may_run_again(task, failed())
    assert do(failed(), task).task.state is TaskState.FAILED


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.CANCELED])
def test_success_is_not_repeated(state: TaskState) -> None:
    """Only a failure runs again."""
    assert do(Finish(state), task_in(TaskState.WORKING, max_attempts=9)).task.state is state


def test_another_attempt() -> None:
    """The task is nobody's and waits out its backoff; its event says what went wrong, the task does not."""
    task = task_in(TaskState.WORKING, max_attempts=2, backoff=2 * SECOND)

    change = do(failed(), task)

    assert change.task == replace(
        task,
        state=TaskState.SUBMITTED,
        state_reason="BACKOFF",
        worker_id="",
        epoch=0,
        next_attempt_at=NOW + 2 * SECOND,
        queue_until=NOW + 2 * SECOND + QUEUE_TIMEOUT,
        generation=5,
        updated_at=NOW,
    )
    assert change.event == TaskEvent(
        7, 5, EventKind.STATE_CHANGED, NOW, TaskState.SUBMITTED, "BACKOFF", attempt=1, error=ERROR
    )


@pytest.mark.parametrize("reason", ["DEADLINE", "WORKER_LOST", "WORKER_SHUTDOWN"])
def test_reason_of_the_next_attempt(reason: str) -> None:
    """Why the attempt failed is why the task waits; only after a shutdown it need not wait."""
    task = do(failed(reason), task_in(TaskState.WORKING, max_attempts=2)).task

    assert task.state_reason == reason
    assert task.next_attempt_at == NOW + (timedelta() if reason == "WORKER_SHUTDOWN" else DEFAULT_BACKOFF)


@pytest.mark.parametrize(
    ("backoff", "attempt", "wait"),
    [
        (None, 1, SECOND),
        (None, 2, 2 * SECOND),
        (None, 5, 16 * SECOND),
        (None, 999, MAX_BACKOFF),
        (3 * SECOND, 3, 12 * SECOND),
        (timedelta(), 7, timedelta()),
        (timedelta(hours=2), 1, timedelta(hours=2)),
        (timedelta(hours=2), 9, timedelta(hours=2)),
    ],
)
def test_backoff(backoff: timedelta | None, attempt: int, wait: timedelta) -> None:
    """The wait doubles with each attempt up to an hour, and one that begins longer stays as it is."""
    assert lifecycle.backoff_after(task_in(TaskState.WORKING, attempt=attempt, backoff=backoff)) == wait


@pytest.mark.parametrize("state", TaskState)
def test_lose(state: TaskState) -> None:
    """The task of a lost worker is FAILED with the reason, unless it has ended."""
    if state in TERMINAL:
        with pytest.raises(IllegalTransition):
            lifecycle.lose(task_in(state), StateReason.WORKER_LOST, "gone", NOW, DEFAULT_POLICY)
        return

    change = lifecycle.lose(task_in(state), StateReason.WORKER_LOST, "gone", NOW, DEFAULT_POLICY)

    assert (change.task.state, change.task.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert change.task.error == change.event.error == LOST
    assert change.task.ended_at == NOW


def test_lost_with_attempts_left() -> None:
    """A task with attempts left waits for another worker, after its backoff."""
    task = task_in(TaskState.WORKING, max_attempts=2)

    change = lifecycle.lose(task, StateReason.WORKER_LOST, "gone", NOW, DEFAULT_POLICY)

    assert (change.task.state, change.task.state_reason) == (TaskState.SUBMITTED, "WORKER_LOST")
    assert (change.task.worker_id, change.task.epoch) == ("", 0)
    assert change.task.next_attempt_at == NOW + DEFAULT_BACKOFF
    assert change.event.error == LOST


def test_lost_while_it_was_asked_to_cancel() -> None:
    """A task that was asked to cancel does not run again: it is CANCELED; in its last attempt it FAILED."""
    asked = task_in(TaskState.WORKING, max_attempts=2, cancel_requested_at=AT)

    first = lifecycle.lose(asked, StateReason.WORKER_LOST, "gone", NOW, DEFAULT_POLICY).task
    last = lifecycle.lose(replace(asked, attempt=2), StateReason.WORKER_LOST, "gone", NOW, DEFAULT_POLICY).task

    assert (first.state, first.state_reason) == (TaskState.CANCELED, "CANCEL_REQUESTED")
    assert first.error == TaskError(1, "canceled on request: gone", "CANCEL_REQUESTED")
    assert (last.state, last.state_reason) == (TaskState.FAILED, "WORKER_LOST")


@pytest.mark.parametrize("reason", [StateReason.WORKER_LOST, StateReason.WORKER_SHUTDOWN])
def test_given_back(reason: StateReason) -> None:
    """What a lost worker had not begun, and whose arguments are on record, waits for another; it costs no attempt."""
    held = task_in(TaskState.SUBMITTED, attempt=0, started_at=None, state_reason="WORKER_BUSY")

    with_input = lifecycle.lose(replace(held, input=b"{}"), reason, "gone", NOW, DEFAULT_POLICY).task
    without = lifecycle.lose(held, reason, "gone", NOW, DEFAULT_POLICY).task

    assert with_input == replace(
        held,
        input=b"{}",
        state_reason="",
        worker_id="",
        epoch=0,
        generation=5,
        updated_at=NOW,
        queue_until=NOW + QUEUE_TIMEOUT,
    )
    assert (without.state, without.state_reason) == (TaskState.FAILED, reason)


def test_failed_before_it_began() -> None:
    """What a worker cannot begin for any other reason is FAILED, with its arguments on record or not."""
    held = task_in(TaskState.SUBMITTED, attempt=0, started_at=None, input=b"{}")

    assert do(failed("STORE_REFUSED"), held).task.state is TaskState.FAILED


def test_attempts_of_several_workers() -> None:
    """A task goes from worker to worker until its attempts are used up; its generations have no gap."""
    task = lifecycle.submit(waiting(max_attempts=3), AT, DEFAULT_POLICY).task
    for attempt in (1, 2, 3):
        worker = Worker(f"worker-{attempt}", "agent", epoch=attempt)
        task = lifecycle.claim(task, worker, NOW).task
        assert (task.attempt, task.epoch, task.generation) == (attempt, attempt, 2 * attempt)
        task = do(failed(), task, worker).task
        assert task.generation == 2 * attempt + 1

    assert (task.state, task.state_reason, task.error) == (TaskState.FAILED, "", ERROR)
    assert (task.worker_id, task.epoch) == ("worker-3", 3)


def test_held_task_has_no_queue_timeout() -> None:
    """What waits inside its worker does not wait for a worker."""
    from_worker = do(Submit(Start("research")), None).task

    assert from_worker.queue_until is None
