"""What operations and requests make of a task: every pair of states, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from outlast.core import lifecycle
from outlast.core.errors import ErrorCode, IllegalTransition, LeaseLost, OutlastError, TaskExists, TaskNotFound
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TERMINAL, TRANSITIONS, StateReason, TaskState
from outlast.core.task import Progress, Task, TaskError, TraceContext
from outlast.core.worker import Worker

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOW = AT + timedelta(seconds=5)
WORKER = Worker("worker", "agent", epoch=3)
HALF = Progress(0.5, "half way", AT)
ERROR = TaskError(2, "no such page", "LookupError")
PAIRS = [*product(TaskState, TaskState)]


def task_in(state: TaskState, **fields: Any) -> Task:
    """Return a task in a state, held by WORKER."""
    held = Task(
        task_id=7,
        task_type="research",
        agent="agent",
        state=state,
        worker_id="worker",
        epoch=3,
        created_by=("worker", 1),
        attempt=1,
        generation=4,
        created_at=AT,
        updated_at=AT,
        started_at=AT,
    )
    return replace(held, **fields)


def do(action: Action, task: Task | None, worker: Worker = WORKER, at: datetime = AT) -> Change:
    """Apply an action, as operation 9 of the worker."""
    return lifecycle.apply_operation(task, Operation(9, 7, at, action), worker, NOW)


@pytest.mark.parametrize(("state", "wanted"), PAIRS)
def test_end(state: TaskState, wanted: TaskState) -> None:
    """A task ends exactly where the table lets it; elsewhere the move raises and names the state."""
    task = task_in(state)
    finish = Finish(wanted, "BECAUSE", b"42", ERROR)

    if wanted not in TRANSITIONS[state]:
        with pytest.raises(IllegalTransition, match=f"tasks/7 is {state.name} and cannot become {wanted.name}"):
            lifecycle.end(task, finish, ended_at=AT, now=NOW)
        assert task == task_in(state)
    else:
        change = lifecycle.end(task, finish, ended_at=AT, now=NOW)
        assert change.task == replace(
            task,
            state=wanted,
            state_reason="BECAUSE",
            result=b"42",
            error=ERROR,
            ended_at=AT,
            updated_at=NOW,
            generation=5,
        )
        assert change.event == TaskEvent(
            7, 5, EventKind.STATE_CHANGED, NOW, wanted, "BECAUSE", attempt=1, result=b"42", error=ERROR
        )


@pytest.mark.parametrize(("state", "wanted"), PAIRS)
def test_finish(state: TaskState, wanted: TaskState) -> None:
    """A worker ends a task that it holds as the table says, and a terminal one never."""
    legal = wanted in TRANSITIONS[state]

    if legal:
        assert do(Finish(wanted), task_in(state)).task.state is wanted
    else:
        with pytest.raises(IllegalTransition):
            do(Finish(wanted), task_in(state))


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("action", [Report(HALF), Output(b'["a"]')])
def test_report_and_output(state: TaskState, action: Action) -> None:
    """Progress and output are events of a task that lives, and change nothing of its state."""
    task = task_in(state, state_reason="BECAUSE")

    if state in TERMINAL:
        with pytest.raises(IllegalTransition, match=state.name):
            do(action, task)
        return

    change = do(action, task)
    progress = HALF if isinstance(action, Report) else None
    output = action.chunks if isinstance(action, Output) else None
    kind = EventKind.PROGRESSED if progress else EventKind.OUTPUT
    assert change.task == replace(task, progress=progress, generation=5, updated_at=NOW)
    assert change.event == TaskEvent(7, 5, kind, NOW, state, "BECAUSE", 1, progress, output)


def test_output_does_not_repeat_progress() -> None:
    """An event of output carries no progress, though the task has some."""
    assert do(Output(b"[1]"), task_in(TaskState.WORKING, progress=HALF)).event.progress is None


def test_start_of_a_new_task() -> None:
    """A start whose id is new makes the task: WORKING, attempt 1, generation 1, with all that was said of it."""
    start = Start(
        "research",
        session_id="session",
        request_id="request",
        metadata=b"{}",
        input=b'{"args": []}',
        trace_context=TraceContext("parent", "state"),
        labels={"a": "b"},
        max_attempts=3,
        timeout=timedelta(seconds=9),
    )

    change = do(start, None)

    assert change.task == Task(
        task_id=7,
        task_type="research",
        agent="agent",
        state=TaskState.WORKING,
        session_id="session",
        request_id="request",
        worker_id="worker",
        epoch=3,
        created_by=("worker", 9),
        attempt=1,
        max_attempts=3,
        generation=1,
        input=b'{"args": []}',
        metadata=b"{}",
        labels={"a": "b"},
        trace_context=TraceContext("parent", "state"),
        timeout=timedelta(seconds=9),
        created_at=NOW,
        updated_at=NOW,
        started_at=AT,
    )
    assert change.event == TaskEvent(7, 1, EventKind.STATE_CHANGED, NOW, TaskState.WORKING, attempt=1)


@pytest.mark.parametrize("state", TaskState)
def test_start_of_a_task_that_waits(state: TaskState) -> None:
    """A task that was submitted is started under the epoch of who starts it; from a state that allows it only."""
    task = task_in(state, created_by=("", 0), worker_id="", epoch=0, attempt=0, started_at=None, state_reason="WHY")

    if TaskState.WORKING not in TRANSITIONS[state]:
        with pytest.raises(IllegalTransition):
            do(Start("research"), task)
        return

    started = do(Start("research"), task).task
    assert (started.state, started.state_reason) == (TaskState.WORKING, "")
    assert (started.worker_id, started.epoch, started.attempt) == ("worker", 3, 1)
    assert started.started_at == AT


def test_second_attempt() -> None:
    """A task that went back to SUBMITTED with attempts left is started again, as its next attempt."""
    task = task_in(TaskState.SUBMITTED, max_attempts=2)

    assert do(Start("research"), task, Worker("another", "agent", 4), NOW).task.attempt == 2


@pytest.mark.parametrize("state", TaskState)
def test_start_of_a_taken_id(state: TaskState) -> None:
    """A start never merges into a task that a worker has made and that waits for no other attempt."""
    with pytest.raises(TaskExists, match="tasks/7"):
        do(Start("research"), task_in(state))


@pytest.mark.parametrize(
    ("worker", "start"), [(Worker("w", "other", 5), Start("research")), (WORKER, Start("another type"))]
)
def test_start_of_something_else(worker: Worker, start: Start) -> None:
    """A submitted task is started by its agent and as its type only."""
    with pytest.raises(TaskExists):
        do(start, task_in(TaskState.SUBMITTED, created_by=("", 0), attempt=0), worker)


@pytest.mark.parametrize("action", [Report(HALF), Output(b"[]"), Finish(TaskState.COMPLETED)])
def test_unknown_task(action: Action) -> None:
    """Only a start makes a task."""
    with pytest.raises(TaskNotFound, match="tasks/7"):
        do(action, None)


@pytest.mark.parametrize("action", [Report(HALF), Output(b"[]"), Finish(TaskState.COMPLETED)])
@pytest.mark.parametrize("worker", [Worker("worker", "agent", 2), Worker("other", "agent", 3)])
def test_lost_lease(worker: Worker, action: Action) -> None:
    """Neither another epoch nor another worker writes to a task."""
    with pytest.raises(LeaseLost, match="epoch 3"):
        do(action, task_in(TaskState.WORKING), worker)


def test_end_is_never_before_the_start() -> None:
    """A worker's clock that went back makes the task short, not negative."""
    task = do(Finish(TaskState.COMPLETED), task_in(TaskState.WORKING), at=AT - timedelta(hours=1)).task

    assert task.ended_at == AT
    assert task.duration == timedelta()


def test_submit() -> None:
    """A submitted task begins at generation 1, by the store's clock, whatever the request said."""
    task = Task(7, "research", "agent", TaskState.WORKING, generation=9, created_at=AT)

    change = lifecycle.submit(task, NOW)

    assert change.task == Task(
        7, "research", "agent", TaskState.SUBMITTED, generation=1, created_at=NOW, updated_at=NOW
    )
    assert change.event == TaskEvent(7, 1, EventKind.STATE_CHANGED, NOW, TaskState.SUBMITTED)


@pytest.mark.parametrize("state", TaskState)
def test_request_cancel(state: TaskState) -> None:
    """A task that runs is asked, one that waits is CANCELED, one that has ended refuses."""
    task = task_in(state)

    if state in TERMINAL:
        with pytest.raises(IllegalTransition, match=f"{state.name} and cannot become CANCELED"):
            lifecycle.request_cancel(task, NOW)
        return

    change = lifecycle.request_cancel(task, NOW)
    assert change is not None
    assert change.task.cancel_requested_at == NOW
    assert change.task.state_reason == StateReason.CANCEL_REQUESTED
    if state is TaskState.SUBMITTED:
        assert (change.task.state, change.event.kind) == (TaskState.CANCELED, EventKind.STATE_CHANGED)
        assert change.event.error is not None
        assert change.event.error.code == 1
    else:
        assert (change.task.state, change.event.kind) == (state, EventKind.CANCEL_REQUESTED)
        assert lifecycle.request_cancel(change.task, NOW) is None


@pytest.mark.parametrize("state", TaskState)
def test_lose(state: TaskState) -> None:
    """The task of a lost worker is FAILED with the reason, unless it has ended."""
    if state in TERMINAL:
        with pytest.raises(IllegalTransition):
            lifecycle.lose(task_in(state), StateReason.WORKER_LOST, "gone", NOW)
        return

    change = lifecycle.lose(task_in(state), StateReason.WORKER_LOST, "gone", NOW)

    assert (change.task.state, change.task.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert change.task.error == change.event.error == TaskError(10, "gone", "WORKER_LOST")
    assert change.task.ended_at == NOW


def test_every_error_has_a_code() -> None:
    """Every error says for machines what kind it is, and for people what happened."""
    for kind in OutlastError.__subclasses__():
        assert kind.code in ErrorCode
    assert str(TaskNotFound("tasks/x")) == "tasks/x does not exist"
