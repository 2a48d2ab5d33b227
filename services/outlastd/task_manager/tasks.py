"""The use cases of people and programs: create, get, list, cancel, retry, delete. They know the store, not gRPC."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from outlast.core.errors import IllegalTransition, TaskExists
from outlast.core.event import Change
from outlast.core.state import TaskState
from outlast.core.task import NO_TRACE, Task, TraceContext
from outlast.core.task_id import MANAGERS, WORKER_NUMBERS, TaskIdSequence
from outlast.core.value import value
from outlastd.stores.port import Position, TaskFilter, TaskStore
from outlastd.task_manager.notifier import Notifier
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.uncut import uncut

#: Bytes of user data after which a page ends, whatever its size: a message has to stay below what clients take.
MAX_PAGE_BYTES = 2 * 1024 * 1024
#: The label of a task that was submitted again: the id of the one that it repeats.
RETRY_OF = "outlast.retry_of"
#: Tasks that are read at a time for a page with results.
_FULL_STEP = 16
#: How often a new task's id may turn out to be taken.
_ID_ATTEMPTS = 8


@value(frozen=True, slots=True)
class Page:
    """One page of a list."""

    tasks: Sequence[Task]
    #: Where it ended; None on the last page.
    end: Position | None


class Tasks:
    """What can be asked of the task manager, but to wait (watching.py)."""

    def __init__(self, store: TaskStore, notifier: Notifier, publish: Publish) -> None:
        self._store = store
        self._notifier = notifier
        self._publish = publish
        self._ids = TaskIdSequence(_any_number(), MANAGERS)

    async def create(self, task: Task, caller: str = "") -> Task:
        """Record a task that waits for a worker; its id is made here.

        The same idempotency key of the same caller gives the same task.

        Raises:
            IdempotencyConflict: the key was used with another request.
            BacklogFull: too many tasks of the agent wait already.
        """
        return await uncut(self._create(task, caller))

    async def retry(
        self, task_id: int, *, caller: str = "", idempotency_key: str = "", trace_context: TraceContext = NO_TRACE
    ) -> Task:
        """Record a new task with the arguments of one that has ended.

        Raises:
            TaskNotFound, BacklogFull, IdempotencyConflict: as ``get`` and ``create``.
            IllegalTransition: it has not ended, or its arguments are not on record.
        """
        old = await self._store.get(task_id)
        if not old.state.terminal:
            raise IllegalTransition(task_id, old.state.name, "a new task before it has ended")
        if old.input is None:
            raise IllegalTransition(task_id, old.state.name, "a new task: its arguments are not on record")
        new = Task(
            task_id=0,
            task_type=old.task_type,
            agent=old.agent,
            state=TaskState.SUBMITTED,
            session_id=old.session_id,
            max_attempts=old.max_attempts,
            input=old.input,
            labels={**old.labels, RETRY_OF: str(task_id)},
            trace_context=trace_context,
            idempotency_key=idempotency_key,
            timeout=old.timeout,
            backoff=old.backoff,
            queue_timeout=old.queue_timeout,
        )
        return await self.create(new, caller)

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

    async def cancel(self, task_id: int, *, force: bool = False, grace: timedelta | None = None) -> Task:
        """Record a request to cancel, and return the task as it stands then (lifecycle.request_cancel).

        Raises:
            TaskNotFound, IllegalTransition.
        """
        return await uncut(self._cancel(task_id, force, grace))

    async def delete(self, task_id: int) -> None:
        """Delete a task that has ended; who watches it is told that it does not exist.

        Raises:
            TaskNotFound, IllegalTransition.
        """
        await self._store.delete(task_id)
        self._notifier.wake(task_id)
        self._store.announce([task_id])

    async def _create(self, task: Task, caller: str) -> Task:
        for attempt in range(1, _ID_ATTEMPTS + 1):
            task_id = self._ids.next(int(datetime.now(UTC).timestamp() * 1000))
            try:
                created = await self._store.create(replace(task, task_id=task_id), caller)
            except TaskExists:
                if attempt == _ID_ATTEMPTS:
                    raise
                self._ids.renumber(_any_number(), MANAGERS)
                continue
            if not isinstance(created, Change):
                return created
            self._publish([created])
            return created.task
        raise AssertionError  # the last attempt has returned or raised

    async def _cancel(self, task_id: int, force: bool, grace: timedelta | None) -> Task:
        task, change = await self._store.request_cancel(task_id, force=force, grace=grace)
        if change is not None:
            self._publish([change])
        return task


def _any_number() -> int:
    return random.SystemRandom().randrange(WORKER_NUMBERS)


def _weight(task: Task) -> int:
    """Return roughly how many bytes of a message a task's user data takes."""
    texts = sum(len(key) + len(value) for key, value in task.labels.items())
    return 1024 + texts + sum(len(data) for data in (task.result, task.input, task.metadata) if data)
