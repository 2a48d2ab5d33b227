"""Short ways to say what the tests of the lifecycle are about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from outlast.core import lifecycle
from outlast.core.event import Change
from outlast.core.operation import Action, Operation
from outlast.core.policy import DEFAULT_POLICY, Policy
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task, TaskError
from outlast.core.worker import Worker

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NOW = AT + timedelta(seconds=5)
SECOND = timedelta(seconds=1)
WORKER = Worker("worker", "agent", epoch=3)
HALF = Progress(0.5, "half way", AT)
ERROR = TaskError(2, "no such page", "LookupError")
PAIRS = [*product(TaskState, TaskState)]
RETENTION = DEFAULT_POLICY.retention or timedelta()
QUEUE_TIMEOUT = DEFAULT_POLICY.queue_timeout or timedelta()


def task_in(state: TaskState, **fields: Any) -> Task:
    """Return a task in a state, held by WORKER in its first attempt."""
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


def waiting(**fields: Any) -> Task:
    """Return a task that was created from outside and waits for any worker."""
    task = Task(7, "research", "agent", TaskState.SUBMITTED, generation=1, created_at=AT, updated_at=AT)
    return replace(task, **fields)


def do(
    action: Action,
    task: Task | None,
    worker: Worker = WORKER,
    *,
    at: datetime = AT,
    policy: Policy = DEFAULT_POLICY,
    attempt: int = 0,
) -> Change:
    """Apply an action, as operation 9 of the worker."""
    return lifecycle.apply_operation(task, Operation(9, 7, at, action, attempt), worker, NOW, policy)
