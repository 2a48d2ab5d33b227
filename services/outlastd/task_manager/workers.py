"""The workers that are connected here, and the submitted tasks that they have been offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from outlast.core.task import Task

#: Tasks that one worker is offered and has not started; more wait in the store.
MAX_OFFERED = 32


class ConnectedWorker(Protocol):
    """One stream of a worker, as its commands go down."""

    worker_id: str
    agent: str
    task_types: frozenset[str]
    #: The session that it is bound to; empty when it runs any.
    session_id: str

    def cancel(self, task_id: int, reason: str) -> None:
        """Ask it to stop a task."""
        ...

    def run(self, task: Task) -> None:
        """Ask it to begin an attempt of a submitted task."""
        ...


class Workers:
    """The registry: one stream a worker, and who was offered what. Everything runs on the services' loop."""

    def __init__(self) -> None:
        self._connected: dict[str, ConnectedWorker] = {}
        self._offered: dict[int, ConnectedWorker] = {}
        #: When each worker was last offered a task, as a count: who waited longest is next.
        self._turns: dict[str, int] = {}
        self._turn = 0

    def add(self, worker: ConnectedWorker) -> None:
        """Let a worker be given commands."""
        self._connected[worker.worker_id] = worker
        self._turns[worker.worker_id] = 0

    def remove(self, worker: ConnectedWorker) -> None:
        """Forget a stream that has ended, and the offers made on it."""
        if self._connected.get(worker.worker_id) is worker:
            del self._connected[worker.worker_id], self._turns[worker.worker_id]
        self._offered = {task_id: holder for task_id, holder in self._offered.items() if holder is not worker}

    def task_types_with_room(self, agent: str) -> Sequence[str]:
        """Return the task types of an agent that a connected worker could be offered now."""
        return sorted({name for worker in self._with_room(agent) for name in worker.task_types})

    def can_run(self, task: Task) -> bool:
        """Whether a connected worker can run a task."""
        return any(_suits(worker, task) for worker in self._of(task.agent))

    def offered(self) -> frozenset[int]:
        """Return the ids of the tasks that are offered and not started."""
        return frozenset(self._offered)

    def offer(self, task: Task) -> bool:
        """Offer a task to the worker that suits it, has room and waited longest; False when there is none."""
        suited = [worker for worker in self._with_room(task.agent) if _suits(worker, task)]
        if not suited:
            return False
        worker = min(suited, key=lambda worker: self._turns[worker.worker_id])
        self._turn += 1
        self._turns[worker.worker_id] = self._turn
        self._offered[task.task_id] = worker
        worker.run(task)
        return True

    def settle(self, task_id: int) -> bool:
        """Note that a task waits no more; True when it was offered, so that there is room for another."""
        return self._offered.pop(task_id, None) is not None

    def cancel(self, task: Task, reason: str) -> None:
        """Ask whoever holds a task, or was offered it, to stop it; nothing when no such worker is connected here."""
        worker = self._offered.get(task.task_id) or self._connected.get(task.worker_id)
        if worker is not None:
            worker.cancel(task.task_id, reason)

    def _of(self, agent: str) -> Iterable[ConnectedWorker]:
        return (worker for worker in self._connected.values() if worker.agent == agent)

    def _with_room(self, agent: str) -> Iterable[ConnectedWorker]:
        load = Counter(worker.worker_id for worker in self._offered.values())
        return (worker for worker in self._of(agent) if load[worker.worker_id] < MAX_OFFERED)


def _suits(worker: ConnectedWorker, task: Task) -> bool:
    return task.task_type in worker.task_types and worker.session_id in ("", task.session_id)
