"""What the task manager has a worker do to its tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.core.errors import InvalidField, LeaseLost
from outlast.core.operation import Finish, Output, Start
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.tasks.ledger import Ledger
from outlast.tasks.orders import Orders
from outlast.tasks.tracked import TrackedTask

MANY = 1 << 30
GIVEN = Task(7, "work", agent="agent", state=TaskState.WORKING, attempt=1, max_attempts=3, epoch=5)


class Worker:
    """A ledger, the orders for it, and what they led to."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.attach(lambda: None)
        #: The attempts that were begun, and the tasks whose code was told to stop.
        self.begun: list[tuple[int, int]] = []
        self.interrupted: list[str] = []
        self.orders = Orders(self.ledger, self._run)

    def start(self, task_type: str, *, max_attempts: int = 1, task_input: bytes | None = None) -> TrackedTask:
        """Start a task and have its start sent."""
        start = Start(task_type, max_attempts=max_attempts, input=task_input)
        task = self.ledger.start(start, on_cancel=lambda: self.interrupted.append(task_type))
        self.ledger.take(MANY, MANY)
        return task

    def adopt(self, task: Task) -> TrackedTask:
        """Adopt a task as run_submitted does."""
        return self.ledger.adopt(task, on_cancel=lambda: self.interrupted.append(f"{task.task_id}/{task.attempt}"))

    def queued(self) -> list[tuple[int, str]]:
        """Return the ends that are queued: task and reason."""
        return [
            (operation.task_id, operation.action.state_reason)
            for operation in self.ledger.take(MANY, MANY)
            if isinstance(operation.action, Finish)
        ]

    def _run(self, task: Task) -> None:
        self.begun.append((task.task_id, task.attempt))
        self.adopt(task)


@pytest.fixture
def worker() -> Worker:
    """A worker of the test's own."""
    return Worker()


def test_an_attempt_is_begun_once(worker: Worker) -> None:
    """It is given again after each break of the stream; a later attempt is another one."""
    worker.orders.run(GIVEN)
    worker.orders.run(GIVEN)
    tracked = worker.ledger.get(7)
    assert tracked is not None
    worker.ledger.finish(tracked, Finish(TaskState.FAILED))
    worker.orders.run(GIVEN)
    worker.orders.run(replace(GIVEN, attempt=2))

    assert worker.begun == [(7, 1), (7, 2)]


def test_a_worker_that_drains_gives_back_what_another_may_do(worker: Worker) -> None:
    """What was given before the task manager knew goes back at once; a last attempt is made all the same."""
    worker.ledger.draining = True

    worker.orders.run(GIVEN)
    worker.orders.run(replace(GIVEN, task_id=8, attempt=3))

    assert worker.begun == [(8, 3)]
    assert worker.queued() == [(7, StateReason.WORKER_SHUTDOWN)]


def test_an_older_attempt_gives_way_to_one_that_is_given_back(worker: Worker) -> None:
    """Its code is told to stop though nothing follows it here, and what it says later is nobody's."""
    older = worker.adopt(GIVEN)
    worker.ledger.draining = True

    worker.orders.run(replace(GIVEN, attempt=2))

    assert older.finish is not None
    assert worker.interrupted == ["7/1"]
    assert worker.queued() == [(7, StateReason.WORKER_SHUTDOWN)]
    assert worker.ledger.finish(older, Finish(TaskState.COMPLETED)) is None


def test_a_task_that_is_ended_elsewhere_is_let_go(worker: Worker) -> None:
    """Its code is told to stop, it says how it ended, and nothing is sent about it."""
    forced, late = worker.start("forced"), worker.start("late")

    worker.orders.let_go(forced.task_id, StateReason.CANCEL_FORCED)
    worker.orders.let_go(late.task_id, "STORE_REFUSED")
    worker.orders.let_go(99, StateReason.CANCEL_FORCED)

    assert (forced.state, late.state) == (TaskState.CANCELED, TaskState.FAILED)
    assert worker.interrupted == ["forced", "late"]
    assert worker.queued() == []
    assert not worker.ledger.busy


def test_a_new_epoch_takes_what_was_held_under_the_old_one(worker: Worker) -> None:
    """Tasks up to the lost sequence and attempts of an older epoch go; what was never applied, and newer ones, stay."""
    lost, kept = worker.start("lost"), worker.start("kept")
    worker.adopt(GIVEN)
    newer = worker.adopt(replace(GIVEN, task_id=8, epoch=6))

    worker.orders.welcomed(6, lost.start_sequence)
    worker.orders.welcomed(6, lost.start_sequence)

    assert worker.ledger.live() == [kept, newer]
    assert worker.interrupted == ["lost", "7/1"]
    assert lost.finish is not None
    assert (lost.finish.state, lost.finish.state_reason) == (TaskState.FAILED, StateReason.WORKER_LOST)
    assert worker.queued() == []


def test_a_worker_that_keeps_its_epoch_keeps_its_tasks(worker: Worker) -> None:
    """However long it was away."""
    worker.start("mine")
    worker.adopt(GIVEN)

    worker.orders.welcomed(5, 0)

    assert len(worker.ledger.live()) == 2
    assert worker.interrupted == []


def test_a_worker_that_is_cut_off_ends_what_may_run_elsewhere(worker: Worker) -> None:
    """Attempts with others to follow end, and so does what waits with its arguments on record; the rest goes on."""
    only, first = worker.start("only"), worker.start("first", max_attempts=2, task_input=b"{}")
    last = worker.adopt(replace(GIVEN, attempt=3))
    waits = worker.ledger.submit(Start("waits", max_attempts=2, input=b"{}"), "WORKER_BUSY")
    unrecorded = worker.ledger.submit(Start("unrecorded"), "WORKER_BUSY")
    worker.ledger.take(MANY, MANY)
    unsent = worker.ledger.start(Start("unsent", max_attempts=2, input=b"{}"))

    worker.orders.cut_off(15.0)

    assert worker.ledger.live() == [only, last, unrecorded, unsent]
    assert worker.interrupted == ["first"]
    assert worker.queued() == [(task.task_id, StateReason.WORKER_LOST) for task in (first, waits)]
    assert first.finish is not None
    assert first.finish.error is not None
    assert "lease of 15 s" in first.finish.error.message


def test_a_refused_start_ends_the_task(worker: Worker) -> None:
    """It is nobody's: its code is told to stop, and /ping does not stay busy for it."""
    task = worker.ledger.start(Start("work"), on_cancel=lambda: worker.interrupted.append("work"))
    (operation,) = worker.ledger.take(MANY, MANY)

    worker.orders.refused(operation, InvalidField("start.metadata", "is no JSON"))

    assert not worker.ledger.busy
    assert worker.interrupted == ["work"]
    assert task.finish is not None
    assert task.finish.state is TaskState.FAILED


def test_a_task_of_another_worker_is_let_go(worker: Worker) -> None:
    """LEASE_LOST on anything that is said of it: a zombie stops (promise 5)."""
    task = worker.start("work")
    worker.ledger.record(task, Output(b"[1]"))
    (operation,) = worker.ledger.take(MANY, MANY)

    worker.orders.refused(operation, LeaseLost(task.task_id, 1, 2))

    assert worker.interrupted == ["work"]
    assert worker.queued() == []


def test_one_output_that_is_refused_harms_nothing_else(worker: Worker) -> None:
    """The task goes on, and its end is sent."""
    task = worker.start("work")
    worker.ledger.record(task, Output(b"[1]"))
    (operation,) = worker.ledger.take(MANY, MANY)

    worker.orders.refused(operation, InvalidField("output.chunks", "is no JSON"))

    assert worker.ledger.live() == [task]
    assert worker.interrupted == []


def test_a_cancel_reaches_the_code(worker: Worker) -> None:
    """Once; for a task that is not here it is nothing."""
    task = worker.start("work")

    worker.orders.cancel(task.task_id)
    worker.orders.cancel(task.task_id)
    worker.orders.cancel(99)

    assert worker.interrupted == ["work"]
    assert worker.ledger.live() == [task]
