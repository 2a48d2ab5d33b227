"""Brings submitted tasks to workers: one loop, so that no task is offered twice at a time."""

from __future__ import annotations

import asyncio

from outlast.core.errors import OutlastError
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.workers import MAX_OFFERED, Workers

#: Seconds before the store is asked again after it could not answer.
RETRY_SECONDS = 1.0


class Dispatcher:
    """Offers the submitted tasks of an agent whenever something has changed for it."""

    def __init__(self, store: TaskStore, workers: Workers) -> None:
        self._store = store
        self._workers = workers
        self._agents: set[str] = set()
        self._wanted = asyncio.Event()
        #: Tasks that changed since the store was asked: its answer may be out of date for them. None: it is not asked.
        self._changed: set[int] | None = None

    def wake(self, agent: str) -> None:
        """Have the submitted tasks of an agent looked at: there is a new one, or a worker with room."""
        self._agents.add(agent)
        self._wanted.set()

    def note(self, task: Task) -> None:
        """Take notice of a task whose state has changed: it waits for a worker, or waits no more."""
        if task.state is TaskState.SUBMITTED:
            self.wake(task.agent)
            return
        if self._changed is not None:
            self._changed.add(task.task_id)
        if self._workers.settle(task.task_id):
            self.wake(task.agent)

    async def run(self) -> None:
        """Dispatch until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._agents:
                agent = self._agents.pop()
                try:
                    await self._dispatch(agent)
                except OutlastError as error:
                    get_logger().warning("submitted tasks wait for the store", agent=agent, reason=error.message)
                    await asyncio.sleep(RETRY_SECONDS)
                    self.wake(agent)

    async def _dispatch(self, agent: str) -> None:
        task_types = self._workers.task_types_with_room(agent)
        if not task_types:
            return
        offered, changed = self._workers.offered(), set[int]()
        self._changed = changed
        # The tasks on offer are among the oldest: ask for enough to see past them.
        limit = len(offered) + MAX_OFFERED
        try:
            waiting = await self._store.submitted(agent, task_types, limit)
        finally:
            self._changed = None
        fresh = (task for task in waiting if task.task_id not in offered and task.task_id not in changed)
        if sum([self._workers.offer(task) for task in fresh]) and len(waiting) == limit:
            self.wake(agent)  # there may be more than one look has shown
