"""The checker finds what it looks for: a history without a fault passes, and each kind of violation is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task

from .checker import Evidence, check
from .history import Record

AT = datetime(2026, 11, 21, tzinfo=UTC)
ID = 7
SESSION = "a session"
RESULT = b'{"attempt": 2, "pid": 22}'


def event(generation: int, state: TaskState, attempt: int, **fields: Any) -> TaskEvent:
    """Return an event of the task."""
    return TaskEvent(ID, generation, fields.pop("kind", EventKind.STATE_CHANGED), AT, state, attempt=attempt, **fields)


def record(what: str, **fields: Any) -> Record:
    """Return a record about the task."""
    return {"at": 0.0, "what": what, "task": ID, **fields}


def saw(seen: TaskEvent, watcher: str = "grpc watcher 1") -> Record:
    """Return what a watcher writes when it sees an event."""
    return record(
        "saw",
        watcher=watcher,
        generation=seen.generation,
        kind=int(seen.kind),
        state=int(seen.state),
        reason=seen.state_reason,
        attempt=seen.attempt,
    )


def began(attempt: int, pid: int) -> Record:
    """Return what the program writes when an attempt begins."""
    return record("began", attempt=attempt, pid=pid, plan={"seconds": 0, "failures": 1, "chunks": 2})


#: A task whose first attempt fails and whose second gives two chunks and a result.
EVENTS = [
    event(1, TaskState.SUBMITTED, 0),
    event(2, TaskState.WORKING, 1),
    event(3, TaskState.SUBMITTED, 1, state_reason=StateReason.BACKOFF),
    event(4, TaskState.WORKING, 2),
    event(5, TaskState.WORKING, 2, kind=EventKind.OUTPUT, output=b"[[2, 22, 0], [2, 22, 1]]"),
    event(6, TaskState.COMPLETED, 2, result=RESULT),
]
TASK = Task(
    ID,
    "again_async",
    "matrix",
    TaskState.COMPLETED,
    attempt=2,
    max_attempts=3,
    generation=6,
    result=RESULT,
    session_id=SESSION,
    idempotency_key="a key",
)
RECORDS = [
    {"at": 0.0, "what": "answered", "call": "create 1", "tasks": [ID], "key": "a key"},
    began(1, 21),
    began(2, 22),
    *(saw(seen) for seen in EVENTS),
    record("watched", watcher="grpc watcher 1"),
    *(saw(seen, "session watcher 2") for seen in EVENTS),
    {"at": 0.0, "what": "watched session", "watcher": "session watcher 2", "session": SESSION},
    record("told", state=TaskState.COMPLETED, reason="", generation=6),
]


def rules(records: Sequence[Record] = RECORDS, task: Task = TASK, events: Sequence[TaskEvent] = EVENTS) -> set[str]:
    """Return the rules that the checker says are broken."""
    return {violation.rule for violation in check(Evidence(records, {ID: task}, {ID: events}))}


def without(*unwanted: Record) -> list[Record]:
    """Return the records without some."""
    return [kept for kept in RECORDS if kept not in unwanted]


def test_nothing_is_wrong() -> None:
    """A retried, watched, completed task breaks no rule."""
    assert rules() == set()


def test_an_acknowledged_task_is_missing() -> None:
    """What an answer named has to be on record."""
    evidence = Evidence([{"what": "answered", "call": "invoke 1", "tasks": [8]}], {}, {})
    assert [violation.rule for violation in check(evidence)] == ["acknowledged task missing"]


def test_one_key_made_two_tasks() -> None:
    """Two answers to one key name one task; and one key is on record once."""
    again = {"what": "answered", "call": "create 2", "tasks": [8], "key": "a key"}
    assert "one idempotency key, two tasks" in rules([*RECORDS, again])
    other = {8: replace(TASK, task_id=8, generation=0)}
    evidence = Evidence((), {ID: TASK, **other}, {ID: EVENTS, 8: ()})
    assert "one idempotency key, two tasks" in {violation.rule for violation in check(evidence)}


def test_a_task_never_ends() -> None:
    """A task that is not terminal when all has settled is told."""
    task = replace(TASK, state=TaskState.WORKING, generation=4, attempt=2, result=None)
    assert "never ended" in rules((), task, EVENTS[:4])


def test_two_winners() -> None:
    """A second terminal event is a second winner."""
    late = event(7, TaskState.CANCELED, 2)
    assert "two winners" in rules(task=replace(TASK, generation=7), events=[*EVENTS, late])


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, state=TaskState.FAILED, result=None),
        replace(TASK, result=b'{"attempt": 2, "pid": 23}'),
    ],
)
def test_a_terminal_state_changed_on_record(task: Task) -> None:
    """State and result of the task are those of its terminal event."""
    assert "terminal state changed" in rules(task=task)


def test_something_happened_after_the_end() -> None:
    """The terminal event is the last."""
    late = event(7, TaskState.WORKING, 2, kind=EventKind.PROGRESSED)
    assert "terminal state changed" in rules(task=replace(TASK, generation=7), events=[*EVENTS, late])


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELED])
def test_a_terminal_state_was_told_otherwise(state: TaskState) -> None:
    """Who was told another terminal state than the last one was lied to."""
    assert "terminal state changed" in rules([*RECORDS, record("told", state=state, reason="", generation=6)])


def test_generations_on_record() -> None:
    """A generation that is missing or there twice is told."""
    assert "generation missing or repeated" in rules((), events=EVENTS[:3] + EVENTS[4:])
    assert "generation missing or repeated" in rules((), events=EVENTS[:3] + EVENTS[2:])


@pytest.mark.parametrize("watcher", ["grpc watcher 1", "session watcher 2"])
def test_generations_as_seen(watcher: str) -> None:
    """So is one that a watcher missed, in the middle or at the end, saw twice, or saw too early."""
    middle, last = saw(EVENTS[2], watcher), saw(EVENTS[5], watcher)
    assert rules(without(middle)) == {"generation missing or repeated"}
    assert rules(without(last)) == {"generation missing or repeated"}
    assert rules([*RECORDS, middle]) == {"generation missing or repeated"}
    assert rules([middle, *without(middle)]) == {"generation missing or repeated"}


def test_a_generation_is_another_event_for_a_watcher() -> None:
    """What a watcher sees is what is on record."""
    seen = saw(EVENTS[3])
    assert rules([{**known, "state": 5} if known == seen else known for known in RECORDS]) >= {
        "generation seen otherwise"
    }


def test_an_attempt_ran_twice() -> None:
    """Whether in another process or in the same; and by the events too."""
    assert "attempt ran twice" in rules([*RECORDS, began(2, 23)])
    assert "attempt ran twice" in rules([*RECORDS, began(2, 22)])
    again = [*EVENTS[:3], replace(EVENTS[3], attempt=1), *EVENTS[4:]]
    assert "attempt ran twice" in rules((), events=again)


def test_an_attempt_ran_that_is_not_on_record() -> None:
    """An attempt has to be on record, and there is no attempt beyond the last."""
    assert rules([*RECORDS, began(3, 23)]) == {"attempt not on record"}
    assert rules(task=replace(TASK, max_attempts=1)) == {"attempt not on record"}


def test_it_ran_again_after_a_request_to_cancel() -> None:
    """No attempt begins after the request."""
    events = [*EVENTS[:2], event(3, TaskState.SUBMITTED, 1, kind=EventKind.CANCEL_REQUESTED), *EVENTS[3:]]
    assert "ran again after a request to cancel" in rules((), events=events)


def test_a_zombie_wrote() -> None:
    """A result or output that is of another attempt, or of another process, is told."""
    for signature in (b"[[1, 22", b"[[2, 21"):
        output = replace(EVENTS[4], output=signature + b", 0], [2, 22, 1]]")
        assert "a zombie wrote" in rules(events=[*EVENTS[:4], output, EVENTS[5]])
    for result in (b'{"attempt": 1, "pid": 22}', b'{"attempt": 2, "pid": 21}'):
        events = [*EVENTS[:5], replace(EVENTS[5], result=result)]
        assert rules(task=replace(TASK, result=result), events=events) == {"a zombie wrote"}


@pytest.mark.parametrize("output", [b"[[2, 22, 0]]", b"[[2, 22, 1]]", b"[[2, 22, 0], [2, 22, 0], [2, 22, 1]]"])
def test_output_was_lost(output: bytes) -> None:
    """Chunks that are missing or there twice are told."""
    assert rules(events=[*EVENTS[:4], replace(EVENTS[4], output=output), EVENTS[5]]) == {"output missing or repeated"}


@pytest.mark.parametrize(
    ("state", "reason", "attempt"),
    [
        (TaskState.FAILED, "", 2),
        (TaskState.FAILED, StateReason.WORKER_LOST, 2),
        (TaskState.FAILED, StateReason.STORE_REFUSED, 2),
        (TaskState.CANCELED, StateReason.CANCEL_REQUESTED, 2),
        (TaskState.CANCELED, StateReason.SELF, 2),
        (TaskState.COMPLETED, "", 1),
    ],
)
def test_a_wrong_end(state: TaskState, reason: str, attempt: int) -> None:
    """A task that ends otherwise than its plan, the faults and the callers have it is told."""
    result = RESULT if state is TaskState.COMPLETED else None
    task = replace(TASK, state=state, state_reason=reason, attempt=attempt, result=result)
    last = replace(EVENTS[5], state=state, state_reason=reason, attempt=attempt, result=result)
    assert "wrong end" in rules((began(1, 21), began(2, 22)), task, [*EVENTS[:5], last])
