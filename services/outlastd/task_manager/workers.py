"""The workers that are connected here, and which tasks each of them holds as far as it has been told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from typing import Protocol

from outlast.core.event import Change, EventKind
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task
from outlast.core.worker import Worker

#: The room of a worker that has no bound.
NO_BOUND = 1 << 31


class Commands(Protocol):
    """The way down to one worker. Nothing here waits."""

    def run(self, task: Task) -> None:
        """Give it an attempt that is recorded as begun."""
        ...

    def cancel(self, task_id: int, reason: str, *, ended: bool = False) -> None:
        """Ask it to stop a task, or, when it has ended, to let go of it."""
        ...


class ConnectedWorker:
    """A worker with a stream here."""

    def __init__(
        self,
        worker: Worker,
        max_tasks: int,
        commands: Commands,
        held: Iterable[Task],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``held`` is what the store says it holds; ``max_tasks`` is 0 for no bound."""
        self.worker = worker
        self.draining = worker.draining
        self.commands = commands
        self._max_tasks = max_tasks
        self._clock = clock
        self._heard_at = clock()
        #: The attempt of each task that it holds, as far as its own operations and our commands say.
        self._held: dict[int, int] = {}
        #: Which requests to cancel it has been told.
        self._told: dict[int, object] = {}
        #: Whether a claim for it is under way: the store may know of tasks that it has yet to be given.
        self.claiming = False
        #: When what it holds is compared with the store next (commander.py); None where that is not settled.
        self.compare_at: float | None = None
        #: When it was last given a task, as a count: who waited longest is next.
        self.turn = 0
        for task in held:
            self.resume(task)

    @property
    def worker_id(self) -> str:
        """The worker's id."""
        return self.worker.worker_id

    @property
    def room(self) -> int:
        """How many more tasks it may be given."""
        if self.draining or not self.worker.task_types:
            return 0
        return max(self._max_tasks - len(self._held), 0) if self._max_tasks else NO_BOUND

    @property
    def silent(self) -> float:
        """For how many seconds nothing has been heard of it on this stream."""
        return self._clock() - self._heard_at

    def hear(self, draining: bool) -> None:
        """Take notice that it has said something."""
        self._heard_at = self._clock()
        self.draining = self.draining or draining

    @property
    def held(self) -> Set[int]:
        """The ids of the tasks that it holds."""
        return self._held.keys()

    @property
    def asked_to_cancel(self) -> Set[int]:
        """The ids of those among them that it has been asked to stop."""
        return self._told.keys()

    def give(self, task: Task) -> None:
        """Tell it to run an attempt that was claimed for it; nothing when it has been told."""
        if self._held.get(task.task_id, 0) < task.attempt:
            self._held[task.task_id] = task.attempt
            self.commands.run(task)

    def note(self, change: Change) -> None:
        """Take notice of what the worker itself has done."""
        task = change.task
        if change.event.kind is not EventKind.STATE_CHANGED:
            return
        if task.worker_id == self.worker_id and not task.state.terminal:
            self._held[task.task_id] = task.attempt
        else:
            self._let_go(task.task_id)

    def follow(self, task: Task) -> None:
        """Tell it what others have done to a task that it holds: asked to cancel it, ended it, taken it away."""
        if task.task_id not in self._held:
            return
        if task.state.terminal:
            self._let_go(task.task_id)
            self.commands.cancel(task.task_id, task.state_reason, ended=True)
        elif (task.worker_id, task.epoch) != (self.worker_id, self.worker.epoch):
            # Its lease is lost: the next heartbeat says so, with everything that goes with it.
            self._let_go(task.task_id)
        else:
            self._tell_cancel(task)

    def forget(self, task_id: int) -> None:
        """Tell it that a task which it held has ended and is deleted."""
        if task_id in self._held:
            self._let_go(task_id)
            self.commands.cancel(task_id, "", ended=True)

    def misses(self, task: Task) -> bool:
        """Whether it holds an attempt that was claimed for it, and has not been told on this stream."""
        return self.was_claimed(task) and self._held.get(task.task_id, 0) < task.attempt

    def resume(self, task: Task) -> None:
        """Tell it of a task that the store says it holds what it has not been told on this stream."""
        if self.was_claimed(task):
            self.give(task)
        else:
            self._held.setdefault(task.task_id, task.attempt)
        self._tell_cancel(task)

    def was_claimed(self, task: Task) -> bool:
        """Whether a task that it holds was given to it, and not begun by its own start.

        Its own start makes attempt 1 of a task that it has created; one that it created under a lease which is lost
        went back to the queue with that lease.
        """
        creator, sequence = task.created_by
        return task.state is TaskState.WORKING and (
            task.attempt > 1 or creator != self.worker_id or sequence <= self.worker.lost_sequence
        )

    def _tell_cancel(self, task: Task) -> None:
        """Pass a request to cancel on, once; a stricter one is another request."""
        request = (task.cancel_requested_at, task.cancel_until)
        if task.cancel_requested_at is not None and self._told.get(task.task_id) != request:
            self._told[task.task_id] = request
            self.commands.cancel(task.task_id, StateReason.CANCEL_REQUESTED)

    def _let_go(self, task_id: int) -> None:
        self._held.pop(task_id, None)
        self._told.pop(task_id, None)


class Workers:
    """The registry: one stream a worker. Everything runs on the services' loop."""

    def __init__(self) -> None:
        self._connected: dict[str, ConnectedWorker] = {}
        #: Called with an agent of which a worker has room that it had not.
        self.on_room: Callable[[str], None] = lambda agent: None

    def __iter__(self) -> Iterator[ConnectedWorker]:
        """Give those that are connected now."""
        return iter(list(self._connected.values()))

    def add(self, worker: ConnectedWorker) -> None:
        """Let a worker be given tasks and commands."""
        self._connected[worker.worker_id] = worker
        self.on_room(worker.worker.agent)

    def remove(self, worker: ConnectedWorker) -> None:
        """Forget a stream that has ended."""
        if self._connected.get(worker.worker_id) is worker:
            del self._connected[worker.worker_id]

    def get(self, worker_id: str) -> ConnectedWorker | None:
        """Return the worker with an id, when it is connected here."""
        return self._connected.get(worker_id)

    def note(self, worker_id: str, changes: Iterable[Change]) -> None:
        """Take notice of what a worker itself has done."""
        worker = self._connected.get(worker_id)
        if worker is None:
            return
        full = worker.room == 0
        for change in changes:
            if change.event.kind is EventKind.STATE_CHANGED:
                worker.note(change)
        self._tell_room(worker, full)

    def follow(self, task: Task) -> None:
        """Tell whoever holds a task what others have done to it; nothing when no such worker is connected here."""
        if (worker := self._connected.get(task.worker_id)) is not None:
            self.tell(worker, task)

    def tell(self, worker: ConnectedWorker, task: Task) -> None:
        """Tell a worker what others have done to a task that it holds, or held."""
        full = worker.room == 0
        worker.follow(task)
        self._tell_room(worker, full)

    def _tell_room(self, worker: ConnectedWorker, full: bool) -> None:
        if full and worker.room:
            self.on_room(worker.worker.agent)
