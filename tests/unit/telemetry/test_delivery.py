"""Spans on their way to an exporter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from outlast.core.event import EventKind, TaskEvent
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.telemetry.delivery import MAX_SPANS, Delivery, in_parts
from outlast.telemetry.handover import Handover
from outlast.telemetry.task_span import task_spans

from .conftest import STARTED

Make = Callable[[Callable[[Sequence[ReadableSpan]], bool]], Delivery]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make deliveries that are closed at the end."""
    made: list[Delivery] = []

    def make(take: Callable[[Sequence[ReadableSpan]], bool]) -> Delivery:
        made.append(Delivery(Handover("test", dropped="dropped", failed="failed"), take))
        return made[-1]

    yield make
    for delivery in made:
        delivery.close(10)


def spans(task: Task, attempts: int, message: str = "") -> Iterable[ReadableSpan]:
    """Yield the spans of a task that failed again and again."""
    error = TaskError(2, message, "ValueError")
    event = TaskEvent(1, 1, EventKind.STATE_CHANGED, STARTED, TaskState.WORKING)
    events = []
    for number in range(1, attempts + 1):
        events.append(replace(event, attempt=number))
        ended = replace(event, attempt=number, state=TaskState.SUBMITTED, state_reason=StateReason.BACKOFF, error=error)
        events.append(ended)
    failed = replace(task, state=TaskState.FAILED, attempt=attempts, max_attempts=1_000, error=error)
    return task_spans(failed, events, Resource({}))


def test_spans_are_made_and_taken_on_another_thread(make: Make, task: Task) -> None:
    """Neither happens on the caller's."""
    threads = set()

    def take(_taken: Sequence[ReadableSpan]) -> bool:
        threads.add(threading.get_ident())
        return True

    def made() -> Iterator[ReadableSpan]:
        threads.add(threading.get_ident())
        yield from spans(task, 1)

    assert make(take).begin(made).result(10)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_all_parts_have_to_be_taken(make: Make, task: Task) -> None:
    """Spans go in parts; once one is refused, nothing more is tried and none of it counts as taken."""
    seen: list[int] = []

    def take(taken: Sequence[ReadableSpan]) -> bool:
        seen.append(len(taken))
        return len(seen) == 1

    assert not make(take).begin(lambda: spans(task, 2 * MAX_SPANS)).result(10)
    assert seen == [MAX_SPANS, MAX_SPANS]


def test_what_an_exporter_raises_is_told(make: Make, task: Task) -> None:
    """The thread goes on."""

    def take(taken: Sequence[ReadableSpan]) -> bool:
        if len(taken) > 1:
            raise OSError("no route")
        return True

    delivery = make(take)
    failed, worked = delivery.begin(lambda: spans(task, 2)), delivery.begin(lambda: spans(task, 0))

    with pytest.raises(OSError, match="no route"):
        failed.result(10)
    assert worked.result(10)


def test_the_longest_messages_fit_into_what_a_receiver_takes(task: Task) -> None:
    """A thousand attempts with messages of the greatest length are many parts, each below gRPC's 4 MiB."""
    made = list(spans(task, 1_000, "\N{SNAKE}" * 4_096))
    parts = list(in_parts(made))

    assert [span for part in parts for span in part] == made
    assert max(encode_spans(part).ByteSize() for part in parts) < 4 * 1024 * 1024
