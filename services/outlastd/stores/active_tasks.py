"""What a store last wrote of the tasks that are active, so that a batch can be decided without reading them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

from outlast.core.operation import Operation, Start, Submit
from outlast.core.policy import Policy
from outlast.core.task import Task
from outlast.core.value import evolve
from outlast.core.worker import Worker
from outlastd.stores.deciding import Decided, decide

#: Bytes that the tasks may take, roughly, and what one takes without its JSON.
MAX_BYTES = 64 * 1024 * 1024
_TASK_BYTES = 2_000
MAX_WORKERS = 10_000


class ActiveTasks:
    """The newest known rows, the least recently used dropped first. Whoever writes by them has the database compare."""

    def __init__(self) -> None:
        #: With the size of each, which nothing changes but its end.
        self._tasks: OrderedDict[int, tuple[Task, int]] = OrderedDict()
        self._workers: OrderedDict[str, Worker] = OrderedDict()
        self._bytes = 0

    def worker(self, worker_id: str) -> Worker | None:
        """Return a worker as it was last seen."""
        return self._workers.get(worker_id)

    def expected(self, operations: Sequence[Operation]) -> dict[int, Task] | None:
        """Return the tasks that exist of those that operations name; None when that is not known of each."""
        found: dict[int, Task] = {}
        made: set[int] = set()
        for operation in operations:
            task_id = operation.task_id
            if task_id in found or task_id in made:
                continue
            known = self._tasks.get(task_id)
            if known is not None:
                found[task_id] = known[0]
            elif isinstance(operation.action, Start | Submit):
                made.add(task_id)
            else:
                return None
        return found

    def decide(self, worker_id: str, operations: Sequence[Operation], now: datetime, policy: Policy) -> Decided | None:
        """Decide a batch by what is known here; None when that is not enough.

        A refusal is never given by it: what looks like one may be a task that another process has changed.
        """
        worker = self.worker(worker_id)
        if worker is None:
            return None
        new = [operation for operation in operations if operation.sequence > worker.applied_sequence]
        stored = self.expected(new)
        if stored is None:
            return None
        decision = decide(worker, stored, new, now, policy)
        return None if decision.refusals else Decided(worker, stored, decision)

    def keep(self, tasks: Iterable[Task]) -> None:
        """Take note of tasks as they were just written or read."""
        for task in tasks:
            known = self._tasks.pop(task.task_id, None)
            if not task.state.terminal:
                size = known[1] if known else _size(task)
                self._tasks[task.task_id] = task, size
                self._bytes += 0 if known else size
            elif known:
                self._bytes -= known[1]
        while self._bytes > MAX_BYTES:
            _, (_, size) = self._tasks.popitem(last=False)
            self._bytes -= size

    def keep_worker(self, worker: Worker, applied_sequence: int | None = None) -> None:
        """Take note of a worker as it was just read, or written with another applied sequence."""
        if applied_sequence is not None:
            worker = evolve(worker, applied_sequence=applied_sequence)
        self._workers[worker.worker_id] = worker
        self._workers.move_to_end(worker.worker_id)
        if len(self._workers) > MAX_WORKERS:
            self._workers.popitem(last=False)

    def forget_worker(self, worker_id: str) -> None:
        """Know nothing of a worker any more."""
        self._workers.pop(worker_id, None)


def _size(task: Task) -> int:
    large = (task.input, task.metadata, task.result, *task.labels.values())
    return _TASK_BYTES + sum(len(value) for value in large if value)
