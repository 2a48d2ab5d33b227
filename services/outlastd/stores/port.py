"""The port that every store fulfils. The docstrings are the contract; tests/contract holds every adapter to them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Protocol

from outlast.core.errors import OutlastError
from outlast.core.event import Change, TaskEvent
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.core.value import value
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores.session_port import SessionStore


@value(frozen=True, slots=True)
class Applied:
    """What became of a batch of operations."""

    #: One change for each operation that was applied, in order, already durable.
    changes: Sequence[Change] = ()
    #: Why an operation was refused, by its sequence. Replays are neither here nor in ``changes``.
    refusals: Mapping[int, OutlastError] = field(default_factory=dict)


@value(frozen=True, slots=True)
class Position:
    """Where a page of a list ends: the list goes on with tasks that are strictly older."""

    created_at: datetime
    task_id: int


@value(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list; an empty field lets all through."""

    states: frozenset[TaskState] = frozenset()
    session_id: str = ""
    agent: str = ""


@value(frozen=True, slots=True)
class SessionEvent:
    """An event of a task of a session, and where it stands among all of them."""

    event: TaskEvent
    #: Resumes after this event: made and understood by the store alone, printable ASCII.
    cursor: str


@value(frozen=True, slots=True)
class EndedTask:
    """What the spans of a terminal task are made from (promise 8)."""

    #: Without ``result``, ``input`` and ``metadata``, which may be large and are not read.
    task: Task
    #: Its STATE_CHANGED events, in order, without results.
    events: Sequence[TaskEvent]


@value(frozen=True, slots=True)
class Census:
    """How many tasks of an agent are in a state that is not terminal."""

    agent: str
    state: TaskState
    tasks: int
    #: How many of them any worker of the agent may begin now: nobody's, and none whose next attempt has to wait.
    backlog: int
    #: For how long the one of these has been waiting that has waited longest; zero where there is none.
    longest_wait: timedelta


class TaskStore(Protocol):
    """Durable tasks, events, workers with their leases, idempotency keys and the span outbox.

    Every method is called on the services' loop and does not block it. Every mutation is one transaction, durable on
    disk when the method returns, and appends exactly one event a change with the next generation (promise 3). No
    mutation touches a terminal task but its deletion (promise 2; a trigger in the database says so too). The lifecycle
    rules are ``outlast.core.lifecycle``; a store never decides a transition by itself. Leases, and every other time
    that lapses, go by the database's clock. Several processes may use one database at the same time.

    Every method raises StoreUnavailable when the database cannot be used now (locked, full, gone; trying again later is
    right, and nothing was written, unless the connection broke while it was being committed: then nobody knows), and
    StoreRefused when it will never take this input.
    """

    policy: Policy

    @property
    def sessions(self) -> SessionStore:
        """The sessions on the same database."""
        ...

    # -- workers and their operations ------------------------------------------------------------------

    async def register_worker(self, registration: Registration) -> Worker:
        """Return the worker's row, with a fresh lease and what the registration says.

        The row is made with the next epoch when the id is new. A worker whose lease nobody has taken away keeps its
        epoch, however long it was silent.
        """
        ...

    async def renew(self, renewals: Sequence[Renewal]) -> frozenset[str]:
        """Renew leases, and note which workers drain; return the ids of those whose epoch is still theirs."""
        ...

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply a worker's operations in order, in one transaction, with the worker's new applied sequence.

        An operation at or below the applied sequence is skipped. One that the lifecycle refuses (OutlastError) is a
        refusal and harms none of the others. The operations go by the worker's newest epoch, and renew its lease.

        Raises:
            StoreRefused: the database refuses something in the batch; nothing of it was written.
            StoreUnavailable: the worker is not registered with this database (or, as always, it cannot be used now).
        """
        ...

    async def claim(self, worker_id: str, epoch: int, limit: int) -> Sequence[Change]:
        """Give a worker up to ``limit`` submitted tasks (lifecycle.claim) of its agent, types and session.

        The oldest first; none of those that another worker holds, or whose next attempt has to wait. Nothing when the
        worker drains, or the epoch is not its own. No two callers ever get the same attempt.
        """
        ...

    async def held(self, worker_id: str, *, full: bool = False) -> Sequence[Task]:
        """Return the tasks that the worker holds under its epoch and that have not ended, the oldest first.

        Without ``full``, ``result``, ``input`` and ``metadata`` are None and are not read.
        """
        ...

    async def expire_workers(self, spare: frozenset[str], as_of: datetime | None = None) -> Sequence[Change]:
        """Do what ``lose_worker`` does to workers whose lease has run out, but to those in ``spare``.

        To ``losing.EXPIRED_AT_ONCE`` of them at the most: ask again for the others. What cannot be taken from one of
        them is told in the log, and keeps nothing of the others'.

        With ``as_of`` only leases that had run out by then: a database that was stopped while it was asked wakes up to
        leases that nobody could renew.
        """
        ...

    async def lose_worker(self, worker_id: str, epoch: int, message: str) -> Sequence[Change]:
        """Take a worker's lease and every task that it holds (lifecycle.lose, WORKER_LOST); nothing on another epoch.

        The row gets the next epoch, and its applied sequence as lost sequence.
        """
        ...

    async def living_workers(self) -> Sequence[Worker]:
        """Return the workers whose lease nobody has taken away, by epoch."""
        ...

    # -- tasks -----------------------------------------------------------------------------------------

    async def create(self, task: Task, caller: str = "") -> Change | Task:
        """Record a submitted task (lifecycle.submit).

        With an idempotency key that the caller has used for the agent within the policy's time, return the task that it
        has made. The reason is NO_WORKER when no living worker of the agent could run it.

        Raises:
            TaskExists: the id is taken.
            IdempotencyConflict: the key was used for another request.
            BacklogFull: too many tasks of the agent wait already.
        """
        ...

    async def request_cancel(
        self, task_id: int, *, force: bool = False, grace: timedelta | None = None
    ) -> tuple[Task, Change | None]:
        """Record a request to cancel (lifecycle.request_cancel); no change when there was one already.

        Raises:
            TaskNotFound, IllegalTransition.
        """
        ...

    async def end_overdue(self, limit: int) -> Sequence[Change]:
        """End up to ``limit`` tasks that have waited too long (lifecycle.end_overdue)."""
        ...

    async def cancel_requests(self, worker_ids: Iterable[str]) -> Sequence[Task]:
        """Return the tasks, without their large fields, that these workers hold and somebody has asked to cancel."""
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

    async def census(self) -> Sequence[Census]:
        """Count the tasks that have not ended, by agent and state; what has none is left out.

        What it costs grows with their number, and not with that of the tasks that have ended.
        """
        ...

    async def delete(self, task_id: int) -> None:
        """Delete a terminal task with its events. Raises TaskNotFound, IllegalTransition."""
        ...

    async def delete_expired(self, limit: int) -> int:
        """Delete up to ``limit`` terminal tasks whose time has come, and keys and workers that are of no use any more.

        Returns:
            How many tasks.
        """
        ...

    # -- events ----------------------------------------------------------------------------------------

    async def events(self, task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        """Return up to ``limit`` events of a task after a generation, in order. Raises TaskNotFound."""
        ...

    async def session_events(
        self, session_id: str, after: str, limit: int, *, agent: str = ""
    ) -> Sequence[SessionEvent]:
        """Return up to ``limit`` events of a session's tasks after a cursor (empty: from the first), in commit order.

        An event that is committed later never stands before one that was returned earlier: whoever goes on from the
        last cursor sees every event once.

        Raises:
            InvalidField: the cursor is none of this store's.
        """
        ...

    def announce(self, task_ids: Iterable[int]) -> None:
        """Hint to the other processes on this database that tasks have changed. Never blocks, never raises."""
        ...

    def hints(self) -> AsyncGenerator[frozenset[int] | None, None]:
        """Give the tasks that other processes have changed, or None when any may have; some hints get lost."""
        ...

    # -- the span outbox -------------------------------------------------------------------------------

    async def claim_spans(self, limit: int, seconds: float) -> Sequence[EndedTask]:
        """Return up to ``limit`` tasks whose spans wait for export, and let nobody else have them for ``seconds``.

        None of them is a task that another process, or this one, has to itself for now (``Policy.own_spans``).
        """
        ...

    async def drop_spans(self, task_ids: Iterable[int]) -> None:
        """Take tasks off the outbox: their spans are exported."""
        ...

    # ---------------------------------------------------------------------------------------------------

    async def clock(self) -> datetime:
        """Return the time by the database's clock."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let the database go."""
        ...
