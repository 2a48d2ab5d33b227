"""What the operations of a worker make of a task: every pair of states, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from outlast.core import lifecycle
from outlast.core.errors import ErrorCode, IllegalTransition, LeaseLost, OutlastError, TaskExists, TaskNotFound
from outlast.core.event import EventKind, TaskEvent
from outlast.core.operation import Action, Finish, Output, Report, Start, Submit
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import TERMINAL, TRANSITIONS, TaskState
from outlast.core.task import Task, TraceContext
from outlast.core.worker import Worker

from .making import AT, ERROR, HALF, NOW, PAIRS, RETENTION, SECOND, WORKER, do, task_in, waiting

#: A start that says everything.
EVERYTHING = Start(
    "research",
    session_id="session",
    request_id="request",
    metadata=b"{}",
    input=b'{"args": []}',
    trace_context=TraceContext("parent", "state"),
    labels={"a": "b"},
    max_attempts=3,
    timeout=timedelta(seconds=9),
    backoff=timedelta(seconds=2),
    manual=True,
)
#: What it makes, before its first event.
MADE = Task(
    task_id=7,
    task_type="research",
    agent="agent",
    state=TaskState.SUBMITTED,
    session_id="session",
    request_id="request",
    worker_id="worker",
    epoch=3,
    created_by=("worker", 9),
    max_attempts=3,
    generation=1,
    input=b'{"args": []}',
    metadata=b"{}",
    labels={"a": "b"},
    trace_context=TraceContext("parent", "state"),
    timeout=timedelta(seconds=9),
    backoff=timedelta(seconds=2),
    manual=True,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(("state", "wanted"), PAIRS)
def test_end(state: TaskState, wanted: TaskState) -> None:
    """A task ends exactly where the table lets it; elsewhere the move raises and names the state."""
    task = task_in(state, next_attempt_at=NOW, queue_until=NOW, cancel_until=NOW)
    before = replace(task)
    finish = Finish(wanted, "BECAUSE", b"42", ERROR)

    if wanted not in TRANSITIONS[state]:
        with pytest.raises(IllegalTransition, match=f"tasks/7 is {state.name} and cannot become {wanted.name}"):
            lifecycle.end(task, finish, ended_at=AT, now=NOW, policy=DEFAULT_POLICY)
        assert task == before
    else:
        change = lifecycle.end(task, finish, ended_at=AT, now=NOW, policy=DEFAULT_POLICY)
        assert change.task == task_in(
            wanted,
            state_reason="BECAUSE",
            result=b"42",
            error=ERROR,
            ended_at=AT,
            updated_at=NOW,
            generation=5,
            expires_at=NOW + RETENTION,
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


def test_kept_for_ever() -> None:
    """Without a retention a task that ends never expires."""
    policy = replace(DEFAULT_POLICY, retention=None)

    assert do(Finish(TaskState.COMPLETED), task_in(TaskState.WORKING), policy=policy).task.expires_at is None


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
    change = do(EVERYTHING, None)

    assert change.task == replace(MADE, state=TaskState.WORKING, attempt=1, started_at=AT)
    assert change.event == TaskEvent(7, 1, EventKind.STATE_CHANGED, NOW, TaskState.WORKING, attempt=1)


def test_submit_of_a_new_task() -> None:
    """A submission to itself makes a task that the worker holds and has not begun; no queue timeout runs."""
    change = do(Submit(EVERYTHING, "WORKER_BUSY"), None)

    assert change.task == replace(MADE, state_reason="WORKER_BUSY")
    assert change.event == TaskEvent(7, 1, EventKind.STATE_CHANGED, NOW, TaskState.SUBMITTED, "WORKER_BUSY")


@pytest.mark.parametrize("state", TaskState)
def test_submit_of_a_taken_id(state: TaskState) -> None:
    """A submission never merges into a task that exists, whoever has made it."""
    with pytest.raises(TaskExists, match="tasks/7"):
        do(Submit(EVERYTHING), task_in(state))


def test_start_of_what_it_submitted() -> None:
    """The worker that submitted a task to itself begins it: attempt 1, with what the submission said."""
    held = do(Submit(EVERYTHING, "WORKER_BUSY"), None).task

    change = do(Start("research"), held, at=AT + SECOND)

    assert change.task == replace(
        held, state=TaskState.WORKING, state_reason="", attempt=1, started_at=AT + SECOND, generation=2
    )


@pytest.mark.parametrize("state", TaskState)
def test_start_of_a_task_that_has_begun(state: TaskState) -> None:
    """A start never begins a task's second attempt, nor one that has ended: that needs a claim."""
    with pytest.raises(TaskExists, match="tasks/7"):
        do(Start("research"), task_in(state))


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_start_of_what_was_ended_before_it_began(state: TaskState) -> None:
    """A task that was submitted to its worker and has ended meanwhile is not begun."""
    with pytest.raises(IllegalTransition, match=f"{state.name} and cannot become WORKING"):
        do(Start("research"), task_in(state, attempt=0))


@pytest.mark.parametrize(
    ("task", "worker"),
    [
        (waiting(), WORKER),
        (task_in(TaskState.SUBMITTED, attempt=0), Worker("another", "agent", 3)),
        (task_in(TaskState.SUBMITTED, attempt=0, task_type="cook"), WORKER),
    ],
)
def test_start_of_something_else(task: Task, worker: Worker) -> None:
    """An id that another worker or CreateTask has made, or that is of another type, is taken."""
    with pytest.raises(TaskExists):
        do(Start("research"), task, worker)


@pytest.mark.parametrize("fields", [{"epoch": 2}, {"epoch": 0, "worker_id": ""}])
def test_start_under_a_lost_epoch(fields: dict[str, object]) -> None:
    """What the worker submitted to itself under an epoch that is lost is not its own any more."""
    with pytest.raises(LeaseLost):
        do(Start("research"), task_in(TaskState.SUBMITTED, attempt=0, **fields))


@pytest.mark.parametrize("action", [Report(HALF), Output(b"[]"), Finish(TaskState.COMPLETED)])
def test_unknown_task(action: Action) -> None:
    """Only a start or a submission makes a task."""
    with pytest.raises(TaskNotFound, match="tasks/7"):
        do(action, None)


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("action", [Report(HALF), Output(b"[]"), Finish(TaskState.COMPLETED)])
@pytest.mark.parametrize(
    "worker", [Worker("worker", "agent", 2), Worker("worker", "agent", 4), Worker("w", "agent", 3)]
)
def test_lost_lease(worker: Worker, action: Action, state: TaskState) -> None:
    """Neither another epoch nor another worker writes to a task, whatever state it is in."""
    with pytest.raises(LeaseLost, match="epoch 3"):
        do(action, task_in(state), worker)


@pytest.mark.parametrize("action", [Report(HALF), Output(b"[]"), Finish(TaskState.COMPLETED)])
def test_operation_of_another_attempt(action: Action) -> None:
    """What says of which attempt it is, is refused on any other; what says nothing goes with the newest."""
    task = task_in(TaskState.WORKING, attempt=2, max_attempts=3)

    for attempt in (1, 3):
        with pytest.raises(LeaseLost, match=f"attempt {attempt}"):
            do(action, task, attempt=attempt)
    assert do(action, task, attempt=2) == do(action, task)


@pytest.mark.parametrize("at", [AT - timedelta(hours=1), AT + timedelta(hours=1)])
def test_end_is_never_before_the_start(at: datetime) -> None:
    """A worker's clock that went back makes the task short, not negative."""
    task = do(Finish(TaskState.COMPLETED), task_in(TaskState.WORKING), at=at).task

    assert task.ended_at == max(at, AT)
    assert task.duration == max(at - AT, timedelta())


def test_end_of_what_never_began() -> None:
    """A task that ends without an attempt ends when it is said to."""
    task = do(Finish(TaskState.CANCELED), task_in(TaskState.SUBMITTED, attempt=0, started_at=None), at=AT).task

    assert (task.ended_at, task.duration) == (AT, timedelta())


def test_every_error_has_a_code() -> None:
    """Every error says for machines what kind it is, and for people what happened."""
    for kind in OutlastError.__subclasses__():
        assert kind.code in ErrorCode
    assert str(TaskNotFound("tasks/x")) == "tasks/x does not exist"
