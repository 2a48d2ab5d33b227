"""The span of a task, and those of its attempts, are a pure function of its record (promise 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import NO_TRACE, Task, TaskError, TraceContext
from outlast.core.task_id import TaskIdSequence
from outlast.telemetry.propagation import attempt_span_id, root_trace_context, started_span_id
from outlast.telemetry.task_span import started_spans, task_resource, task_spans

from .conftest import STARTED

RESOURCE = Resource({"service.name": "research"})
BOOM = TaskError(2, "boom", "ValueError")


def span_of(task: Task) -> ReadableSpan:
    """Return the span of a task that may have one attempt only."""
    [span] = task_spans(task, [], RESOURCE)
    return span


def at(seconds: float) -> datetime:
    """Return a time after the task's creation."""
    return STARTED + timedelta(seconds=seconds)


def event(
    seconds: float, state: TaskState, attempt: int, reason: str = "", error: TaskError | None = None
) -> TaskEvent:
    """Return an event, by the store's clock."""
    return TaskEvent(
        task_id=1,
        generation=2,
        kind=EventKind.STATE_CHANGED,
        at=at(seconds),
        state=state,
        state_reason=reason,
        attempt=attempt,
        error=error,
    )


def times(span: ReadableSpan) -> tuple[float, float]:
    """Return when a span begins and ends, in seconds after the task's creation."""
    origin = STARTED.timestamp()
    return round((span.start_time or 0) / 1e9 - origin, 3), round((span.end_time or 0) / 1e9 - origin, 3)


#: Three attempts: one that failed, one whose worker was lost, one that succeeded.
EVENTS = (
    event(0, TaskState.SUBMITTED, 0),
    event(1, TaskState.WORKING, 1),
    event(2, TaskState.SUBMITTED, 1, StateReason.BACKOFF, BOOM),
    event(3, TaskState.WORKING, 2),
    event(4, TaskState.SUBMITTED, 2, StateReason.WORKER_LOST, TaskError(10, "gone", StateReason.WORKER_LOST)),
    event(6, TaskState.WORKING, 3),
    event(9, TaskState.COMPLETED, 3),
)


@pytest.fixture
def retried(task: Task) -> Task:
    """A task that completed with its third attempt."""
    return replace(task, state=TaskState.COMPLETED, attempt=3, max_attempts=3, started_at=at(6.5), ended_at=at(8.5))


def test_a_span_tells_the_record(task: Task) -> None:
    """Name, ids, times and attributes are those of the task."""
    span = span_of(replace(task, state=TaskState.COMPLETED))

    assert span.context is not None
    assert span.parent is not None
    assert (span.name, span.kind) == ("async_task background_processing", SpanKind.INTERNAL)
    assert (0x0AF7651916CD43DD8448EB211C80319C, task.task_id) == (span.context.trace_id, span.context.span_id)
    assert span.parent.span_id == 0xB7AD6B7169203331
    assert dict(span.context.trace_state) == {"vendor": "1"}
    assert (span.start_time, (span.end_time or 0) - (span.start_time or 0)) == (1768225478_000001_000, 10_004_000_000)
    assert dict(span.attributes or {}) == {
        "session.id": "s-1",
        "outlast.agent": "research",
        "outlast.request_id": "r-1",
        "outlast.task.id": "4680601251139015056",
        "outlast.task.type": "background_processing",
        "outlast.task.state": "COMPLETED",
        "outlast.task.attempt": 1,
        "outlast.task.worker_id": "w-1",
    }


def test_a_repeat_is_byte_for_byte_the_same(task: Task) -> None:
    """Another replica that exports the span again sends the same bytes."""
    ended = replace(task, state=TaskState.FAILED, error=BOOM, attempt=3, max_attempts=3)
    here = task_resource(RESOURCE.merge(Resource({"service.instance.id": "1", "process.pid": 1})), "research")
    there = task_resource(RESOURCE.merge(Resource({"service.instance.id": "2", "host.name": "b"})), "research")
    one, two = task_spans(ended, EVENTS, here), task_spans(replace(ended), list(EVENTS), there)

    assert encode_spans([*one]).SerializeToString() == encode_spans([*two]).SerializeToString()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (TaskState.COMPLETED, StatusCode.OK),
        (TaskState.FAILED, StatusCode.ERROR),
        (TaskState.CANCELED, StatusCode.UNSET),
        (TaskState.REJECTED, StatusCode.UNSET),
    ],
)
def test_only_a_failure_is_an_error(task: Task, state: TaskState, code: StatusCode) -> None:
    """A cancel is somebody's wish and no error; the state says what it was."""
    error = None if state is TaskState.COMPLETED else TaskError(1, "because", "Why")
    span = span_of(replace(task, state=state, error=error))

    assert code == span.status.status_code
    assert span.attributes is not None
    assert state.name == span.attributes["outlast.task.state"]
    assert ("error.type" in span.attributes) == (state is TaskState.FAILED)


def test_a_lost_task_says_why(task: Task) -> None:
    """The reason and the message of a lost worker are in the span."""
    error = TaskError(10, "its worker is gone", StateReason.WORKER_LOST)
    span = span_of(replace(task, state=TaskState.FAILED, state_reason=StateReason.WORKER_LOST, error=error))

    assert span.attributes is not None
    assert span.status.description == "its worker is gone"
    assert (
        span.attributes["outlast.task.state_reason"],
        span.attributes["error.type"],
    ) == ("WORKER_LOST", "WORKER_LOST")


def test_a_task_that_began_its_trace_has_no_parent(task: Task) -> None:
    """The parent id that says "none" is no parent in the span."""
    root = root_trace_context(0x0AF7651916CD43DD8448EB211C80319C, sampled=True)

    assert span_of(replace(task, trace_context=root)).parent is None


@pytest.mark.parametrize("trace", [NO_TRACE, TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")])
def test_an_unsampled_task_has_no_span(task: Task, trace: TraceContext) -> None:
    """Without a trace, or with one that is not sampled, nothing is exported."""
    assert list(task_spans(replace(task, trace_context=trace, max_attempts=2), EVENTS, RESOURCE)) == []


def test_a_task_canceled_before_its_start_has_lived_since_it_was_recorded(task: Task) -> None:
    """A span has a start even where no worker ever had the task."""
    span = span_of(replace(task, state=TaskState.CANCELED, started_at=None))

    assert (span.end_time or 0) - (span.start_time or 0) == 10_004_000_000


def test_a_span_lasts_a_microsecond_at_least(task: Task) -> None:
    """Jaeger takes one that does not for one with a broken clock; attempts stay inside all the same."""
    events = [event(0, TaskState.WORKING, 1), event(0, TaskState.CANCELED, 1)]
    canceled = replace(task, state=TaskState.CANCELED, max_attempts=2, ended_at=task.started_at)
    whole, attempt = task_spans(canceled, events, RESOURCE)

    assert whole.start_time is not None
    assert (attempt.start_time, attempt.end_time) == (whole.start_time, whole.end_time)
    assert whole.end_time == whole.start_time + 1_000


class TestStarted:
    """A task at work is found before it has ended."""

    def test_it_stands_beside_the_tasks_own_span(self, task: Task) -> None:
        """Its parent is the invocation, it is at the attempt's begin, and it says what the task is looked for by."""
        [span] = started_spans(replace(task, attempt=2), RESOURCE)
        [own] = task_spans(replace(task, state=TaskState.COMPLETED), [], RESOURCE)

        assert span.context is not None
        assert (span.name, span.kind) == ("async_task background_processing started", SpanKind.INTERNAL)
        assert (span.context.span_id, span.parent) == (started_span_id(task.task_id, 2), own.parent)
        assert (span.start_time, span.end_time) == (own.start_time, (own.start_time or 0) + 1_000)
        assert span.status.status_code is StatusCode.UNSET
        assert dict(span.attributes or {}) == {
            "session.id": "s-1",
            "outlast.agent": "research",
            "outlast.request_id": "r-1",
            "outlast.task.id": "4680601251139015056",
            "outlast.task.type": "background_processing",
            "outlast.task.attempt": 2,
        }
        assert len({started_span_id(7, 1), started_span_id(7, 2), attempt_span_id(7, 1), attempt_span_id(7, 2)}) == 4

    def test_of_a_task_that_begins_its_trace_it_is_the_child(self, task: Task) -> None:
        """That trace has one root once the task has ended."""
        root = root_trace_context(0x0AF7651916CD43DD8448EB211C80319C, sampled=True)
        [span] = started_spans(replace(task, trace_context=root), RESOURCE)

        assert span.parent is not None
        assert span.parent.span_id == task.task_id

    def test_an_unsampled_task_has_none(self, task: Task) -> None:
        """Nobody looks for it in a trace."""
        assert list(started_spans(replace(task, trace_context=NO_TRACE), RESOURCE)) == []


class TestAttempts:
    """A task that may run more than once has a span for each run."""

    def test_each_attempt_is_a_child_of_the_task(self, retried: Task) -> None:
        """Name, id and parent; the id is made from the task's and the number alone."""
        task, *attempts = task_spans(retried, EVENTS, RESOURCE)

        assert [span.name for span in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
        for number, span in enumerate(attempts, 1):
            assert span.context is not None
            assert (span.context.span_id, span.parent) == (attempt_span_id(retried.task_id, number), task.context)
            assert span.kind is SpanKind.INTERNAL
            assert span.attributes is not None
            assert span.attributes["outlast.task.attempt"] == number
        assert attempt_span_id(4680601251139015056, 1) == 0x9135035DF3C39CDD

    def test_an_attempt_tells_how_it_ended(self, retried: Task) -> None:
        """One that was followed by another is an error with its reason; the last one ended as the task did."""
        spans = list(task_spans(retried, EVENTS, RESOURCE))[1:]
        attributes = [span.attributes or {} for span in spans]

        assert [span.status.status_code for span in spans] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.OK]
        assert [span.status.description for span in spans] == ["boom", "gone", None]
        assert [found.get("error.type") for found in attributes] == ["ValueError", "WORKER_LOST", None]
        assert [found.get("outlast.task.state_reason") for found in attributes] == ["BACKOFF", "WORKER_LOST", None]

    def test_times_are_the_records_where_it_has_them(self, retried: Task) -> None:
        """The task spans from its first attempt to its end; the last attempt has the times of its worker."""
        spans = task_spans(retried, EVENTS, RESOURCE)

        assert [times(span) for span in spans] == [(1, 8.5), (1, 2), (3, 4), (6.5, 8.5)]

    def test_an_attempt_that_its_worker_began_did_so_when_it_made_the_id(self, retried: Task) -> None:
        """What the program did before that was recorded lies in the attempt; a worker's clock ahead is not asked."""
        began = replace(event(1, TaskState.WORKING, 1), generation=1)
        events = [began, *EVENTS[2:]]
        behind, ahead = (
            replace(retried, task_id=TaskIdSequence(0).next(int(at(seconds).timestamp() * 1000)))
            for seconds in (0.9, 1.1)
        )

        assert [times(span) for span in task_spans(behind, events, RESOURCE)][:2] == [(0.9, 8.5), (0.9, 2)]
        assert [times(span) for span in task_spans(ahead, events, RESOURCE)][:2] == [(1, 8.5), (1, 2)]

    def test_one_attempt_of_several_is_told_to_the_millisecond(self, task: Task) -> None:
        """A task that needed no second attempt has the times of its record, and so has its attempt."""
        events = [event(1, TaskState.WORKING, 1), event(9, TaskState.FAILED, 1, "", BOOM)]
        failed = replace(task, state=TaskState.FAILED, error=BOOM, max_attempts=2, started_at=at(0.5), ended_at=at(8.5))
        whole, attempt = task_spans(failed, events, RESOURCE)

        assert times(whole) == times(attempt) == (0.5, 8.5)
        assert whole.status.description == attempt.status.description == "boom"

    @pytest.mark.parametrize(
        ("started", "ended", "expected"),
        [
            (6.5, 5.0, [(1, 5), (1, 2), (3, 4), (5, 5)]),
            (0.0, 8.5, [(1, 8.5), (1, 2), (3, 4), (4, 8.5)]),
            (0.0, 0.5, [(0.5, 0.5)] * 4),
        ],
    )
    def test_clocks_that_differ_put_no_attempt_outside(
        self, retried: Task, started: float, ended: float, expected: Sequence[tuple[float, float]]
    ) -> None:
        """No attempt leaves the task's span or overlaps another one, whatever the worker's clock said."""
        spans = task_spans(replace(retried, started_at=at(started), ended_at=at(ended)), EVENTS, RESOURCE)

        assert [times(span) for span in spans] == expected

    def test_an_end_between_two_attempts_ends_none_of_them_again(self, task: Task) -> None:
        """A task that is canceled while it waits has the span of the attempt that was over by then."""
        events = [
            event(1, TaskState.WORKING, 1),
            event(2, TaskState.SUBMITTED, 1, StateReason.WORKER_SHUTDOWN, TaskError(10, "stopped", "WORKER_SHUTDOWN")),
            event(7, TaskState.CANCELED, 1, StateReason.CANCEL_REQUESTED),
        ]
        canceled = replace(
            task, state=TaskState.CANCELED, max_attempts=3, worker_id="", started_at=at(1), ended_at=at(7)
        )
        whole, attempt = task_spans(canceled, events, RESOURCE)

        assert [times(whole), times(attempt)] == [(1, 7), (1, 2)]
        assert (whole.status.status_code, attempt.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)

    def test_a_task_that_never_ran_has_no_attempt(self, task: Task) -> None:
        """Its span goes from its creation to its end."""
        events = [event(0, TaskState.SUBMITTED, 0), event(5, TaskState.FAILED, 0, StateReason.QUEUE_TIMEOUT)]
        queued = replace(
            task, state=TaskState.FAILED, attempt=0, max_attempts=3, started_at=None, ended_at=at(5), error=BOOM
        )

        [span] = task_spans(queued, events, RESOURCE)
        assert times(span) == (0, 5)

    def test_a_task_of_one_attempt_has_none_below_it(self, task: Task) -> None:
        """Its own span is that of its attempt."""
        events = [event(1, TaskState.WORKING, 1), event(9, TaskState.COMPLETED, 1)]

        [span] = task_spans(replace(task, state=TaskState.COMPLETED), events, RESOURCE)
        assert span.name == "async_task background_processing"
