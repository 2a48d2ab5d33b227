"""What the stores decide alike, and purely: what a batch of operations makes of its tasks, and what a new task is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from outlast.core import lifecycle
from outlast.core.errors import BacklogFull, OutlastError
from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.value import value
from outlast.core.worker import Registration, Worker
from outlast.telemetry.propagation import parse_traceparent
from outlastd.stores.port import EndedTask
from outlastd.stores.rows import microseconds

#: How long a worker that has lost its lease and holds nothing is remembered: a zombie that comes back finds its row.
WORKER_KEPT = timedelta(days=1)

_NONE, _MICROSECOND = timedelta(), timedelta(microseconds=1)


@value(frozen=True, slots=True)
class Decision:
    """What is to be written, and what is to be answered."""

    changes: Sequence[Change]
    #: Why an operation is refused, by its sequence.
    refusals: Mapping[int, OutlastError]
    #: The worker's new applied sequence.
    applied_sequence: int


def decide(
    worker: Worker, stored: Mapping[int, Task], operations: Sequence[Operation], now: datetime, policy: Policy
) -> Decision:
    """Return what operations make of the tasks in ``stored``, which are all that exist of those that they name."""
    applied = worker.applied_sequence
    current = dict(stored)
    changes: list[Change] = []
    refusals: dict[int, OutlastError] = {}
    for operation in operations:
        if operation.sequence <= applied:
            continue
        applied = operation.sequence
        try:
            change = lifecycle.apply_operation(current.get(operation.task_id), operation, worker, now, policy)
        except OutlastError as refusal:
            refusals[operation.sequence] = refusal
        else:
            current[operation.task_id] = change.task
            changes.append(change)
    return Decision(changes, refusals, applied)


@value(frozen=True, slots=True)
class Decided:
    """A decision, and from what it was made."""

    worker: Worker
    #: Those that exist of the tasks that the operations name.
    stored: Mapping[int, Task]
    decision: Decision


def newest(changes: Sequence[Change]) -> Sequence[Task]:
    """Return each changed task once, as its last change leaves it."""
    return list({change.task.task_id: change.task for change in changes}.values())


def wants_spans(change: Change, policy: Policy) -> bool:
    """Whether a change puts its task on the span outbox, in its own transaction (promise 8)."""
    if not policy.spans or not change.event.state.terminal:
        return False
    trace = parse_traceparent(change.task.trace_context.traceparent)
    return trace is not None and trace.sampled


def owns_spans(change: Change, policy: Policy) -> bool:
    """Whether the spans of a task that wants them are for the process that ends it: it need not read a thing again."""
    return policy.own_spans > _NONE and change.task.max_attempts == 1


def own_until(change: Change, policy: Policy) -> int:
    """Return until when they are, in microseconds; 0 where they are anybody's."""
    return microseconds(change.event.at) + policy.own_spans // _MICROSECOND if owns_spans(change, policy) else 0


def fingerprint(task: Task) -> bytes:
    """Return a digest of what must be the same for a repeated request to be the same request."""
    parts = (
        task.task_type,
        task.input,
        task.session_id,
        sorted(task.labels.items()),
        task.max_attempts,
        task.timeout,
        task.backoff,
        task.queue_timeout,
    )
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).digest()


def registered(worker: Worker, registration: Registration, now: datetime, policy: Policy) -> Worker:
    """Return a worker, known or fresh, with what it says of itself now and a fresh lease."""
    return replace(
        worker,
        agent=registration.agent,
        lock_path=registration.lock_path,
        session_id=registration.session_id,
        task_types=registration.task_types,
        draining=registration.draining,
        lease_until=now + policy.lease_ttl,
    )


def could_run(worker: Worker, task: Task) -> bool:
    """Whether a worker that lives is one that may claim the task (port.TaskStore.claim)."""
    return (
        worker.agent == task.agent
        and task.task_type in worker.task_types
        and worker.session_id in ("", task.session_id)
        and not worker.draining
    )


def new_task(task: Task, workers: Iterable[Worker], now: datetime, policy: Policy) -> Change:
    """Return what recording a new task is, with ``workers`` the living ones of its agent (or of all)."""
    reason = "" if any(could_run(worker, task) for worker in workers) else StateReason.NO_WORKER
    return lifecycle.submit(replace(task, state_reason=reason), now, policy)


def backlog_full(agent: str, policy: Policy) -> BacklogFull:
    """Return the refusal of a new task when ``policy.max_backlog`` tasks of the agent are submitted and nobody's."""
    return BacklogFull(f"{policy.max_backlog:,} tasks of agent {agent} wait for a worker already")


def ended_tasks(tasks: Iterable[Task], moves: Iterable[TaskEvent]) -> Sequence[EndedTask]:
    """Return ended tasks, each with those of ``moves`` that are its own."""
    by_task: dict[int, list[TaskEvent]] = {}
    for move in moves:
        by_task.setdefault(move.task_id, []).append(move)
    return [EndedTask(task, by_task.get(task.task_id, [])) for task in tasks]
