"""Values survive the wire, to the microsecond and to the byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.errors import InvalidField, StoreRefused
from outlast.core.event import EventKind, TaskEvent
from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task, TaskError, TraceContext
from outlast.v1 import task_pb2
from outlast.v1 import worker_service_pb2 as pb
from outlast.wire.operations import operation_from_proto, operation_to_proto, result_from_proto, results_to_proto
from outlast.wire.tasks import BASIC, event_from_proto, event_to_proto, task_from_proto, task_to_proto
from outlast.wire.times import duration_from_proto, duration_to_proto, time_from_proto, time_to_proto

AT = datetime(2026, 11, 21, 8, 29, 59, 999_999, tzinfo=UTC)
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")

TASK = Task(
    task_id=(1 << 63) - 1,
    task_type="research",
    agent="agent",
    state=TaskState.FAILED,
    state_reason="WORKER_LOST",
    session_id="session",
    request_id="request",
    worker_id="worker",
    epoch=3,
    attempt=2,
    max_attempts=5,
    generation=9,
    progress=Progress(0.0, "é", AT),
    result=b'"\\ud800"',
    error=TaskError(10, "gone", "WORKER_LOST"),
    input=b'{"args": []}',
    metadata=b'{"k": "\xc3\xa9"}',
    labels={"k": "v"},
    trace_context=TRACE,
    idempotency_key="key",
    timeout=timedelta(seconds=1, microseconds=1),
    created_at=AT,
    updated_at=AT,
    cancel_requested_at=AT,
    expires_at=AT,
    started_at=AT,
    ended_at=AT,
)

ACTIONS: list[Action] = [
    Start("research"),
    Start("r", "s", "q", b"{}", b'{"args": []}', TRACE, {"k": "v"}, 3, timedelta(days=2)),
    Report(Progress(None, "", AT)),
    Report(Progress(1.0, "done", AT)),
    Output(b"[1]"),
    Finish(TaskState.COMPLETED, result=b"null"),
    Finish(TaskState.COMPLETED),
    Finish(TaskState.FAILED, "BACKOFF", error=TaskError(2, "m", "T")),
]


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_exact(time: datetime) -> None:
    """Every time of the calendar, before 1970 too."""
    proto = time_to_proto(time)
    assert proto is not None
    assert 0 <= proto.nanos < 1_000_000_000
    assert time_from_proto(proto, "time") == time


@given(st.timedeltas(min_value=timedelta(days=-3_650_000), max_value=timedelta(days=3_650_000)))
def test_durations_are_exact(duration: timedelta) -> None:
    """Every duration, negative ones too; seconds and nanos have one sign."""
    proto = duration_to_proto(duration)
    assert proto is not None
    assert proto.seconds * proto.nanos >= 0
    assert duration_from_proto(proto, "duration") == duration


def test_another_zone_is_the_same_instant() -> None:
    """Times arrive in UTC whatever zone they left in."""
    there = AT.astimezone(timezone(timedelta(hours=-7)))
    assert time_to_proto(there) == time_to_proto(AT)


def test_times_beyond_the_calendar_are_refused() -> None:
    """The field is named."""
    for seconds in (1 << 62, -(1 << 62)):
        with pytest.raises(InvalidField, match="when: is out of range"):
            time_from_proto(Timestamp(seconds=seconds), "when")
        with pytest.raises(InvalidField, match="how_long: is out of range"):
            duration_from_proto(Duration(seconds=seconds), "how_long")


def test_a_task_survives() -> None:
    """Every field, a task with nothing set too."""
    assert task_from_proto(task_pb2.Task.FromString(task_to_proto(TASK).SerializeToString())) == TASK
    bare = Task(1, "t", "a", TaskState.SUBMITTED)
    assert task_from_proto(task_to_proto(bare)) == bare


def test_the_basic_view_leaves_user_data_out() -> None:
    """No result, input or metadata; all else is the same."""
    basic, full = task_to_proto(TASK, BASIC), task_to_proto(TASK)
    assert (basic.result, basic.input, basic.metadata) == ("", "", "")
    for field in ("result", "input", "metadata"):
        full.ClearField(field)
    assert basic == full


@pytest.mark.parametrize(
    "event",
    [
        TaskEvent(7, 1, EventKind.STATE_CHANGED, AT, TaskState.WORKING, "", 1),
        TaskEvent(7, 2, EventKind.PROGRESSED, AT, TaskState.WORKING, "", 1, progress=Progress(0.5, "m", AT)),
        TaskEvent(7, 3, EventKind.OUTPUT, AT, TaskState.WORKING, "", 1, output=b'["x"]'),
        TaskEvent(7, 4, EventKind.CANCEL_REQUESTED, AT, TaskState.WORKING, "CANCEL_REQUESTED", 1),
        TaskEvent(7, 5, EventKind.STATE_CHANGED, AT, TaskState.COMPLETED, "", 1, result=b"null"),
        TaskEvent(7, 5, EventKind.STATE_CHANGED, AT, TaskState.FAILED, "", 1, error=TaskError(2, "m", "T")),
    ],
    ids=lambda event: f"{event.kind.name}-{event.generation}",
)
def test_an_event_survives(event: TaskEvent) -> None:
    """Every kind, with what came with it."""
    assert event_from_proto(task_pb2.TaskEvent.FromString(event_to_proto(event).SerializeToString())) == event


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: type(action).__name__)
def test_an_operation_survives(action: Action) -> None:
    """Every action, bare and with everything."""
    operation = Operation(1, 7, AT, action)
    assert operation_from_proto(pb.Operation.FromString(operation_to_proto(operation).SerializeToString())) == operation


def test_results_survive() -> None:
    """Applied, and refused with the reason; an answer to no operation is an answer all the same."""
    sent = results_to_proto([1, 2], {2: StoreRefused("too big")}).SerializeToString()
    applied, refused = map(result_from_proto, pb.ConnectResponse.FromString(sent).results.results)
    assert applied == (1, None)
    sequence, error = refused
    assert (sequence, type(error), str(error)) == (2, StoreRefused, "too big")
    assert results_to_proto([], {}).HasField("results")


def test_states_and_kinds_have_the_same_numbers() -> None:
    """The domain's enums and the protos' name the same things with the same numbers."""
    assert {state.name: int(state) for state in TaskState} | {"STATE_UNSPECIFIED": 0} == dict(
        task_pb2.Task.State.items()
    )
    assert {kind.name: int(kind) for kind in EventKind} | {"KIND_UNSPECIFIED": 0} == dict(
        task_pb2.TaskEvent.Kind.items()
    )


def test_what_is_nothing_is_refused() -> None:
    """A task without a state, an event of no task."""
    with pytest.raises(InvalidField, match="state"):
        task_from_proto(task_pb2.Task(task_id=1))
    with pytest.raises(InvalidField, match="task"):
        event_from_proto(task_pb2.TaskEvent(task="7"))
    with pytest.raises(InvalidField, match="kind"):
        event_from_proto(task_pb2.TaskEvent(task="tasks/7", state=task_pb2.Task.WORKING))
