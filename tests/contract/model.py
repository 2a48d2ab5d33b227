"""What a store must do, in dictionaries: the pure domain as the model that the state machine drives stores against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from outlast.core import lifecycle
from outlast.core.errors import (
    BacklogFull,
    IdempotencyConflict,
    IllegalTransition,
    OutlastError,
    StoreUnavailable,
    TaskExists,
    TaskNotFound,
)
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.core.worker import Registration, Renewal, Worker
from outlastd.stores.deciding import WORKER_KEPT, could_run, fingerprint, wants_spans
from outlastd.stores.losing import ran_out
from outlastd.stores.port import Applied, EndedTask

#: The epoch of a worker whose lease was lost, until the store shows the next one: no task has it.
UNKNOWN = -1


class Model:
    """Tasks, events, workers, keys and the outbox. A method does what the port says of its namesake, or raises so."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.tasks: dict[int, Task] = {}
        self.events: dict[int, list[TaskEvent]] = {}
        #: The tasks and generations of each commit, in order.
        self.commits: list[list[tuple[int, int]]] = []
        self.workers: dict[str, Worker] = {}
        self.lost_at: dict[str, datetime] = {}
        self.keys: dict[tuple[str, str, str], tuple[int, datetime]] = {}
        self.outbox: dict[int, datetime] = {}

    def register_worker(self, said: Registration, epoch: int, now: datetime) -> Worker:
        """Return the worker; ``epoch`` is what the store has given it, and counts where none is known."""
        known = self.workers.get(said.worker_id) or Worker(said.worker_id, said.agent, UNKNOWN)
        worker = replace(
            known,
            agent=said.agent,
            epoch=epoch if known.epoch == UNKNOWN else known.epoch,
            task_types=said.task_types,
            session_id=said.session_id,
            lock_path=said.lock_path,
            draining=said.draining,
        )
        return self._live(worker, now)

    def renew(self, renewals: Sequence[Renewal], now: datetime) -> frozenset[str]:
        """Renew leases."""
        renewed = set()
        for renewal in renewals:
            worker = self.workers.get(renewal.worker_id)
            if worker is not None and worker.epoch == renewal.epoch:
                self._live(replace(worker, draining=worker.draining or renewal.draining), now)
                renewed.add(renewal.worker_id)
        return frozenset(renewed)

    def apply(self, worker_id: str, operations: Sequence[Operation], epoch: int, now: datetime) -> Applied:
        """Apply operations; ``epoch`` is the worker's in the store afterwards, and counts where none is known."""
        worker = self.workers.get(worker_id)
        if worker is None:
            raise StoreUnavailable(f"worker {worker_id} is not registered with this store")
        if worker.epoch == UNKNOWN:
            worker = replace(worker, epoch=epoch)
        changes: list[Change] = []
        refusals: dict[int, OutlastError] = {}
        current = dict(self.tasks)
        for operation in operations:
            if operation.sequence <= worker.applied_sequence:
                continue
            worker = replace(worker, applied_sequence=operation.sequence)
            task = current.get(operation.task_id)
            try:
                change = lifecycle.apply_operation(task, operation, worker, now, self.policy)
            except OutlastError as refusal:
                refusals[operation.sequence] = refusal
            else:
                current[operation.task_id] = change.task
                changes.append(change)
        self._live(worker, now)
        self._commit(changes)
        return Applied(changes, refusals)

    def claim(self, worker_id: str, epoch: int, limit: int, now: datetime) -> Sequence[Change]:
        """Give a worker the oldest tasks that it could run."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.epoch != epoch:
            return []
        due = [
            task
            for task in self._waiting(worker.agent)
            if could_run(worker, task) and (task.next_attempt_at is None or task.next_attempt_at <= now)
        ]
        return self._commit(lifecycle.claim(task, worker, now) for task in _oldest_first(due)[:limit])

    def held(self, worker_id: str) -> Sequence[Task]:
        """Return what a worker holds."""
        worker = self.workers.get(worker_id)
        return _oldest_first(
            task
            for task in self.tasks.values()
            if worker is not None
            and (task.worker_id, task.epoch) == (worker_id, worker.epoch)
            and not task.state.terminal
        )

    def expire_workers(self, spare: frozenset[str], now: datetime) -> Sequence[Change]:
        """Take every lease that has run out."""
        changes: list[Change] = []
        for worker in list(self.workers.values()):
            if worker.worker_id not in spare and worker.lease_until is not None and worker.lease_until <= now:
                changes += self._lose(worker, ran_out(worker), now)
        return self._commit(changes)

    def lose_worker(self, worker_id: str, epoch: int, message: str, now: datetime) -> Sequence[Change]:
        """Take a worker's lease."""
        worker = self.workers.get(worker_id)
        if worker is None or worker.epoch != epoch:
            return []
        return self._commit(self._lose(worker, message, now))

    def living_workers(self) -> Sequence[Worker]:
        """Return the workers that have a lease."""
        return [worker for worker in self.workers.values() if worker.lease_until is not None]

    def create(self, task: Task, caller: str, now: datetime) -> Change | Task:
        """Record a submitted task, once a key."""
        key = (caller, task.agent, task.idempotency_key)
        task_id, until = self.keys.get(key, (0, now))
        if until > now:
            made = self.tasks[task_id]
            if fingerprint(made) != fingerprint(task):
                raise IdempotencyConflict(task.idempotency_key, task_id)
            return made
        if task.task_id in self.tasks:
            raise TaskExists(task.task_id)
        if len(self._waiting(task.agent)) >= self.policy.max_backlog:
            raise BacklogFull(f"{self.policy.max_backlog:,} tasks of agent {task.agent} wait for a worker already")
        runs = any(could_run(worker, task) for worker in self.living_workers())
        task = replace(task, state_reason="" if runs else StateReason.NO_WORKER)
        (change,) = self._commit([lifecycle.submit(task, now, self.policy)])
        if task.idempotency_key:
            self.keys[key] = (task.task_id, now + self.policy.idempotency_ttl)
        return change

    def request_cancel(
        self, task_id: int, force: bool, grace: timedelta | None, now: datetime
    ) -> tuple[Task, Change | None]:
        """Record a request to cancel."""
        task = self._get(task_id)
        grace = self.policy.cancel_grace if grace is None else grace
        change = lifecycle.request_cancel(task, now, self.policy, grace=grace, force=force)
        if change is None:
            return task, None
        self._commit([change])
        return change.task, change

    def end_overdue(self, now: datetime) -> Sequence[Change]:
        """End what has waited too long."""
        ends = [lifecycle.end_overdue(task, now, self.policy) for task in self.tasks.values()]
        return self._commit(change for change in ends if change is not None)

    def cancel_requests(self) -> Sequence[Task]:
        """Return the tasks that somebody asked to cancel and that run, without what may be large."""
        return [
            replace(task, input=None, metadata=None, result=None)
            for task in self.tasks.values()
            if task.cancel_requested_at is not None and not task.state.terminal
        ]

    def delete(self, task_id: int) -> None:
        """Delete a terminal task."""
        task = self._get(task_id)
        if not task.state.terminal:
            raise IllegalTransition(task_id, task.state.name, "deleted")
        self._forget(task_id)

    def delete_expired(self, now: datetime) -> int:
        """Delete what is kept no longer."""
        for worker_id, at in list(self.lost_at.items()):
            if at <= now - WORKER_KEPT:
                # What it was waits for nobody any more: should it come back, it is a new worker.
                del self.workers[worker_id], self.lost_at[worker_id]
        expired = [task.task_id for task in self.tasks.values() if task.expires_at and task.expires_at <= now]
        for task_id in expired:
            self._forget(task_id)
        return len(expired)

    def claim_spans(self, seconds: float, now: datetime) -> Sequence[EndedTask]:
        """Return what waits for export, and claim it."""
        ready = [task_id for task_id, until in self.outbox.items() if until <= now]
        self.outbox |= dict.fromkeys(ready, now + timedelta(seconds=seconds))
        return [
            EndedTask(
                replace(self.tasks[task_id], input=None, metadata=None, result=None),
                [
                    replace(event, result=None)
                    for event in self.events[task_id]
                    if event.kind is EventKind.STATE_CHANGED
                ],
            )
            for task_id in ready
        ]

    def drop_spans(self, task_ids: Iterable[int]) -> None:
        """Take tasks off the outbox."""
        for task_id in task_ids:
            self.outbox.pop(task_id, None)

    def session_events(self, session_id: str) -> list[list[tuple[int, int]]]:
        """Return the tasks and generations of each commit that concern a session, in order."""
        of_session = [
            [(task_id, number) for task_id, number in commit if self.tasks[task_id].session_id == session_id]
            for commit in self.commits
        ]
        return [commit for commit in of_session if commit]

    def _get(self, task_id: int) -> Task:
        if task_id not in self.tasks:
            raise TaskNotFound(task_id)
        return self.tasks[task_id]

    def _waiting(self, agent: str) -> list[Task]:
        return [
            task
            for task in self.tasks.values()
            if task.agent == agent and task.state is TaskState.SUBMITTED and not task.worker_id
        ]

    def _live(self, worker: Worker, now: datetime) -> Worker:
        worker = replace(worker, lease_until=now + self.policy.lease_ttl)
        self.workers[worker.worker_id] = worker
        self.lost_at.pop(worker.worker_id, None)
        return worker

    def _lose(self, worker: Worker, message: str, now: datetime) -> list[Change]:
        changes = [
            lifecycle.lose(task, StateReason.WORKER_LOST, message, now, self.policy)
            for task in self.held(worker.worker_id)
        ]
        self.workers[worker.worker_id] = replace(
            worker, epoch=UNKNOWN, lost_sequence=worker.applied_sequence, lease_until=None
        )
        self.lost_at[worker.worker_id] = now
        return changes

    def _commit(self, changes: Iterable[Change]) -> Sequence[Change]:
        changes = list(changes)
        for change in changes:
            self.tasks[change.task.task_id] = change.task
            self.events.setdefault(change.task.task_id, []).append(change.event)
            if wants_spans(change, self.policy):
                self.outbox[change.task.task_id] = datetime.min.replace(tzinfo=change.event.at.tzinfo)
        if changes:
            self.commits.append([(change.task.task_id, change.event.generation) for change in changes])
        return changes

    def _forget(self, task_id: int) -> None:
        del self.tasks[task_id], self.events[task_id]
        self.outbox.pop(task_id, None)
        self.keys = {key: kept for key, kept in self.keys.items() if kept[0] != task_id}
        self.commits = [[pair for pair in commit if pair[0] != task_id] for commit in self.commits]


def _oldest_first(tasks: Iterable[Task]) -> list[Task]:
    key: Callable[[Task], object] = lambda task: (task.created_at, task.task_id)  # noqa: E731
    return sorted(tasks, key=key)  # type: ignore[arg-type]
