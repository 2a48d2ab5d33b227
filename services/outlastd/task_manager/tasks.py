"""The use cases of people and programs: create, get, list, cancel, wait, watch. They know the store, not gRPC."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from outlast.core.errors import TaskExists
from outlast.core.event import Change, TaskEvent
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.task_id import TaskIdSequence
from outlast.core.worker import WORKER_NUMBERS
from outlastd.stores.port import Position, TaskFilter, TaskStore
from outlastd.task_manager.notifier import Notifier
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.workers import Workers

#: Bytes of user data after which a page ends, whatever its size: a message has to stay below what clients take.
MAX_PAGE_BYTES = 2 * 1024 * 1024
#: Tasks that are read at a time for a page with results.
_FULL_STEP = 16
#: Events that are read at a time for a watcher.
_EVENTS_STEP = 100
#: How often a new task's id may turn out to be taken.
_ID_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    tasks: Sequence[Task]
    #: Where it ended; None on the last page.
    end: Position | None


class Tasks:
    """What can be asked of the task manager."""

    def __init__(self, store: TaskStore, workers: Workers, notifier: Notifier, publish: Publish) -> None:
        self._store = store
        self._workers = workers
        self._notifier = notifier
        self._publish = publish
        self._ids = TaskIdSequence(0)
        self._renumber()

    async def create(self, task: Task) -> Task:
        """Record a task that waits for a worker; its id is made here. The same idempotency key gives the same task.

        Raises:
            IdempotencyConflict: the key was used with another request.
        """
        reason = "" if self._workers.can_run(task) else StateReason.NO_WORKER
        for attempt in range(1, _ID_ATTEMPTS + 1):
            task_id = self._ids.next(int(datetime.now(UTC).timestamp() * 1000))
            try:
                created = await self._store.create(replace(task, task_id=task_id, state_reason=reason))
            except TaskExists:
                if attempt == _ID_ATTEMPTS:
                    raise
                self._renumber()
                continue
            if not isinstance(created, Change):
                return created
            self._publish([created])
            return created.task
        raise AssertionError  # the last attempt has returned or raised

    async def get(self, task_id: int) -> Task:
        """Return a task. Raises TaskNotFound."""
        return await self._store.get(task_id)

    async def list(self, which: TaskFilter, size: int, after: Position | None, *, full: bool) -> Page:
        """Return ``size`` tasks at the most, newest first; fewer when they hold a lot."""
        tasks: list[Task] = []
        weight = 0
        while True:
            wanted = size + 1 - len(tasks)  # one more than the page holds, to know whether it is the last
            step = min(wanted, _FULL_STEP) if full else wanted
            chunk = await self._store.list(which, step, after, full=full)
            for task in chunk:
                weight += _weight(task)
                if len(tasks) == size or (tasks and weight > MAX_PAGE_BYTES):
                    return Page(tasks, after)
                tasks.append(task)
                assert task.created_at is not None, "a stored task has its create time"
                after = Position(task.created_at, task.task_id)
            if len(chunk) < step:
                return Page(tasks, None)

    async def cancel(self, task_id: int) -> Task:
        """Record a request to cancel and tell the worker that holds the task, when it is connected here.

        Raises:
            TaskNotFound, IllegalTransition.
        """
        task, change = await self._store.request_cancel(task_id)
        if change is not None:
            # First the worker: publishing settles the offer of a task that was not started.
            self._workers.cancel(task, StateReason.CANCEL_REQUESTED)
            self._publish([change])
        return task

    async def wait(self, task_id: int, seconds: float) -> Task:
        """Return a task once it is terminal, or as it stands after ``seconds``. Raises TaskNotFound."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + seconds
        with self._notifier.listen(task_id) as bell:
            while True:
                bell.clear()
                task = await self._store.get(task_id)
                left = deadline - clock.time()
                if task.state.terminal or left <= 0:
                    return task
                await bell.wait(left)

    async def watch(self, task_id: int, after_generation: int) -> AsyncGenerator[TaskEvent, None]:
        """Give every event after a generation, each once and in order; end after the terminal one.

        Raises:
            TaskNotFound: also when the task is deleted meanwhile.
        """
        with self._notifier.listen(task_id) as bell:
            while True:
                bell.clear()
                events = await self._store.events(task_id, after_generation, _EVENTS_STEP)
                for event in events:
                    after_generation = event.generation
                    yield event
                    if event.state.terminal:
                        return
                if len(events) == _EVENTS_STEP:
                    continue
                if not events and (await self._store.get(task_id)).state.terminal:
                    # It has ended; unless its end came between the two reads, the watcher has seen it.
                    if not await self._store.events(task_id, after_generation, 1):
                        return
                    continue
                await bell.wait(float("inf"))

    def _renumber(self) -> None:
        self._ids.worker_number = random.SystemRandom().randrange(WORKER_NUMBERS)


def _weight(task: Task) -> int:
    """Return roughly how many bytes of a message a task's user data takes."""
    texts = sum(len(key) + len(value) for key, value in task.labels.items())
    return 1024 + texts + sum(len(data) for data in (task.result, task.input, task.metadata) if data)
