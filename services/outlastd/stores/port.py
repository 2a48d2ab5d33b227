"""The port that every store fulfils. The docstrings are the contract; tests/contract holds every adapter to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from outlast.core.errors import OutlastError
from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.core.worker import Worker


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch of operations."""

    #: One change for each operation that was applied, in order, already durable.
    changes: Sequence[Change] = ()
    #: Why an operation was refused, by its sequence. Replays are neither here nor in ``changes``.
    refusals: Mapping[int, OutlastError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of a list ends: the list goes on with tasks that are strictly older."""

    created_at: datetime
    task_id: int


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; an empty field lets all through."""

    states: frozenset[TaskState] = frozenset()
    session_id: str = ""
    agent: str = ""


class TaskStore(Protocol):
    """Durable tasks, events and workers.

    Every method is called on the services' loop and does not block it. Every mutation is one transaction, durable on
    disk when the method returns, and appends exactly one event a change with the next generation (promise 3). No
    mutation touches a terminal task (promise 2; a trigger in the database says so too). The lifecycle rules are
    ``outlast.core.lifecycle``; a store never decides a transition by itself.

    Every method raises StoreUnavailable when the database cannot be used now (locked, full, gone; nothing was
    written, trying again later is right), and StoreRefused when it will never take this input.
    """

    async def register_worker(self, worker_id: str, agent: str, lock_path: str = "") -> Worker:
        """Return the worker's row, made with the next epoch when the id is new, unchanged when it is not."""
        ...

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply a worker's operations in order, in one transaction, with the worker's new applied sequence.

        An operation at or below the applied sequence is skipped. One that the lifecycle refuses (OutlastError) is a
        refusal and harms none of the others.

        Raises:
            StoreRefused: the database refuses something in the batch; nothing of it was written.
            StoreUnavailable: the worker is not registered with this database (or, as always, it cannot be used now).
        """
        ...

    async def create(self, task: Task) -> Change | Task:
        """Record a submitted task (lifecycle.submit); with an idempotency key that the agent has used, return its task.

        Raises:
            TaskExists: the id is taken.
            IdempotencyConflict: the key was used with another task type, input, session or labels.
        """
        ...

    async def request_cancel(self, task_id: int) -> tuple[Task, Change | None]:
        """Record a request to cancel (lifecycle.request_cancel); no change when there was one already.

        Raises:
            TaskNotFound, IllegalTransition.
        """
        ...

    async def lose_worker(self, worker_id: str, reason: StateReason, message: str) -> Sequence[Change]:
        """End every task that the worker holds (lifecycle.lose)."""
        ...

    async def holders(self) -> Sequence[Worker]:
        """Return the workers that hold a task which is not terminal and was started."""
        ...

    async def get(self, task_id: int) -> Task:
        """Return a task. Raises TaskNotFound."""
        ...

    async def list(
        self, which: TaskFilter, limit: int, after: Position | None = None, *, full: bool = False
    ) -> Sequence[Task]:
        """Return up to ``limit`` tasks, newest first by (created_at, task_id), strictly after ``after``.

        Without ``full``, ``result``, ``input`` and ``metadata`` are None and are not read.
        """
        ...

    async def submitted(self, agent: str, task_types: Sequence[str], limit: int) -> Sequence[Task]:
        """Return tasks of the agent that wait for a worker of these types, the oldest first, with their input."""
        ...

    async def events(self, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        """Return up to ``limit`` events of a task after a generation, in order. Raises TaskNotFound."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let the database go."""
        ...
