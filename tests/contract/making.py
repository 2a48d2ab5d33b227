"""Short ways to say what the tests of stores are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from outlast.core.operation import Action, Finish, Operation, Output, Report, Start
from outlast.core.state import TaskState
from outlast.core.task import Progress, Task, TaskError
from outlast.core.worker import Registration, Worker
from outlastd.stores.port import TaskStore

#: When workers do things, by their own clock.
AT = datetime(2026, 11, 21, 8, 29, 59, 999_999, tzinfo=UTC)

START = Start("research")
HALF = Report(Progress(0.5, "half way", AT))
CHUNK = Output(b'["a chunk"]')
DONE = Finish(TaskState.COMPLETED, result=b'{"answer": 42}')
FAILED = Finish(TaskState.FAILED, error=TaskError(2, "no such page", "LookupError"))
CANCELED = Finish(TaskState.CANCELED, "SELF", error=TaskError(1, "had enough", "CancelledError"))


def operations(task_id: int, *actions: Action, first: int = 1) -> list[Operation]:
    """Return actions of one task, numbered from ``first``."""
    return [Operation(sequence, task_id, AT, action) for sequence, action in enumerate(actions, first)]


def submission(task_id: int, task_type: str = "research", agent: str = "agent", **fields: object) -> Task:
    """Return a task to create."""
    return Task(task_id, task_type, agent, TaskState.SUBMITTED, **fields)  # type: ignore[arg-type]


async def register(store: TaskStore, worker_id: str, agent: str = "agent", *task_types: str, **said: object) -> Worker:
    """Register a worker; by default one of the agent named ``agent`` that is given nothing from outside."""
    return await store.register_worker(Registration(worker_id, agent, frozenset(task_types), **said))  # type: ignore[arg-type]


async def start_tasks(store: TaskStore, worker_id: str, task_ids: Sequence[int], start: Start = START) -> None:
    """Register a new worker of the agent named ``agent`` and have it start tasks."""
    await register(store, worker_id)
    batch = [Operation(sequence, task_id, AT, start) for sequence, task_id in enumerate(task_ids, 1)]
    applied = await store.apply(worker_id, batch)
    assert not applied.refusals
