"""The figures of tasks, from their committed changes: each is counted once, by the task manager that committed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from outlast.core.event import Change, EventKind
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.telemetry.metrics import cardinality, metering
from outlast.telemetry.metrics.buckets import TASK_SECONDS
from outlast.telemetry.metrics.cardinality import AGENT, ERROR_TYPE, OUTCOME, TASK_TYPE
from outlast.telemetry.propagation import parse_traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter as Counted
    from opentelemetry.metrics import Histogram, Meter

#: How many, by attributes.
_Counts: TypeAlias = "Counter[tuple[tuple[str, str], ...]]"


class TaskMetrics:
    """Counts changes. Belongs to one loop.

    Sums over all task managers of a store are the store's figures. Times are the store's, but for attempts: those that
    end a task are timed by its worker, as the record is.
    """

    def __init__(self, meter: Meter) -> None:
        self._created = meter.create_counter("outlast.task.created", "{task}", "Tasks recorded")
        self._completed = meter.create_counter("outlast.task.completed", "{task}", "Tasks ended, however they ended")
        self._expired = meter.create_counter("outlast.task.expired", "{task}", "Tasks deleted after their time")
        self._attempts_lost = meter.create_counter(
            "outlast.task.attempts.lost", "{attempt}", "Attempts whose worker was gone before they ended"
        )
        self._queue = _seconds(
            meter, "outlast.task.queue.duration", "From the record of a task that had to wait until its first attempt"
        )
        self._attempt = _seconds(meter, "outlast.task.attempt.duration", "From the begin of an attempt to its end")
        self._e2e = _seconds(meter, "outlast.task.e2e.duration", "From the record of a task to its end")
        self._cancel = _seconds(
            meter, "outlast.task.cancel.duration", "From the request to cancel a task to its end, however it ended"
        )

        # A series that begins with its first event has no increase in it: whoever waits for one would miss it.
        self._expired.add(0)
        _lost_leases(meter).add(0)

    def note(self, changes: Iterable[Change]) -> None:
        """Count what committed changes say; those of one batch together, for a measurement costs more than a sum."""
        created: _Counts = Counter()
        completed: _Counts = Counter()
        for change in changes:
            if change.event.kind is EventKind.STATE_CHANGED:
                self._note(change, created, completed)
        for counter, counts in ((self._created, created), (self._completed, completed)):
            for attributes, tasks in counts.items():
                counter.add(tasks, dict(attributes))

    def expired(self, tasks: int) -> None:
        """Count tasks that were deleted because their time had come."""
        self._expired.add(tasks)

    def _note(self, change: Change, created: _Counts, completed: _Counts) -> None:
        task, event = change.task, change.event
        attributes = {AGENT: cardinality.agent(task.agent), TASK_TYPE: cardinality.task_type(task.task_type)}
        if event.generation == 1:
            created[tuple(attributes.items())] += 1
        if event.state is TaskState.WORKING:
            # One that its own worker has begun at once has not waited: zeros would hide those that do.
            if event.attempt == 1 and event.generation > 1:
                self._queue.record(_between(task.created_at, event.at), attributes)
        elif event.state.terminal:
            attributes[OUTCOME] = event.state.name
            self._note_end(change, attributes)
            if event.state is TaskState.FAILED and event.error is not None and event.error.type:
                attributes = {**attributes, ERROR_TYPE: cardinality.error_type(event.error.type)}
            completed[tuple(attributes.items())] += 1
        elif event.state is TaskState.SUBMITTED and event.attempt:
            self._note_attempt(change, {**attributes, OUTCOME: TaskState.FAILED.name}, context=None)

    def _note_end(self, change: Change, attributes: dict[str, str]) -> None:
        task, event = change.task, change.event
        context = _context(task)
        self._e2e.record(_between(task.created_at, event.at), attributes, context)
        if task.cancel_requested_at is not None:
            self._cancel.record(_between(task.cancel_requested_at, event.at), attributes, context)
        # One that ends while it waits is nobody's, and has no attempt to end.
        if event.attempt and task.worker_id:
            self._note_attempt(change, attributes, context)

    def _note_attempt(self, change: Change, attributes: dict[str, str], context: Context | None) -> None:
        task, event = change.task, change.event
        ended_at = (task.ended_at if event.state.terminal else None) or event.at
        self._attempt.record(_between(task.started_at, ended_at), attributes, context)
        if event.state_reason == StateReason.WORKER_LOST:
            self._attempts_lost.add(1, {name: attributes[name] for name in (AGENT, TASK_TYPE)})


def count_lost_leases(leases: int) -> None:
    """Count leases that were taken from workers with tasks to lose: those of workers that just left are no news."""
    if leases and (active := metering.active()) is not None:
        _lost_leases(active.meter).add(leases)


def _lost_leases(meter: Meter) -> Counted:
    return meter.create_counter(
        "outlast.task.lease.lost", "{lease}", "Leases taken from workers that are gone while they held tasks"
    )


def _seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, unit="s", description=description, explicit_bucket_boundaries_advisory=TASK_SECONDS
    )


def _between(begin: datetime | None, end: datetime) -> float:
    """Return the seconds between two times that may be of two clocks."""
    return 0.0 if begin is None else max((end - begin).total_seconds(), 0.0)


def _context(task: Task) -> Context | None:
    """Return a context in which the task's own span is current, so that a figure can name it; None where it has none.

    The span has ended, or is a process's that was killed: only its name is needed.
    """
    trace = parse_traceparent(task.trace_context.traceparent)
    if trace is None or not trace.sampled:
        return None
    from outlast.telemetry import sdk_span

    return sdk_span.context_in(trace, task.task_id)
