"""Tells the workers that are connected here what others have done to the tasks that they hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from outlast.core.errors import OutlastError, TaskNotFound
from outlast.core.task import Task
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.workers import ConnectedWorker, Workers

#: Seconds between two looks for requests to cancel, where no hint came.
CANCELS_SECONDS = 0.5
#: Seconds after a worker has connected until what it holds is compared for the first time.
FIRST_SECONDS = 1.0


class Commander:
    """Keeps workers in step with the store, whoever has changed it: this task manager, another replica, the reaper.

    What is published here, or hinted at, is passed on at once. The rest is found by looking: for requests to cancel
    all the time, and once in a lease for everything that a worker holds. That comparison is what brings a task to its
    worker which another replica has claimed for it on a stream that was dead already.
    """

    def __init__(self, store: TaskStore, workers: Workers, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._workers = workers
        self._clock = clock
        self._lease = store.policy.lease_ttl.total_seconds()
        self._wanted = asyncio.Event()
        #: Tasks that others may have changed.
        self._suspects: set[int] = set()

    def hint(self, task_ids: Iterable[int] | None) -> None:
        """Have tasks looked at that another process has changed; None when any may have."""
        if task_ids is not None:
            suspects = {task_id for worker in self._workers for task_id in worker.held & frozenset(task_ids)}
            if not suspects:
                return
            self._suspects |= suspects
        self._wanted.set()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CANCELS_SECONDS):
                    await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.look()
            except OutlastError as error:
                get_logger().warning("workers could not be told of changes", reason=error.message)
                await asyncio.sleep(CANCELS_SECONDS)

    async def look(self) -> None:
        """Look once at what is due."""
        await self._look_for_cancels()
        while self._suspects:
            await self._check(self._suspects.pop())
        for worker in self._workers:
            if worker.compare_at is None:
                worker.compare_at = self._clock() + FIRST_SECONDS
            elif worker.compare_at <= self._clock() and not worker.claiming:
                await self._compare(worker)
                worker.compare_at = self._clock() + self._lease

    async def _look_for_cancels(self) -> None:
        busy = [worker for worker in self._workers if worker.held]
        if not busy:
            return
        asked = {task.task_id: task for task in await self._store.cancel_requests(each.worker_id for each in busy)}
        for task in asked.values():
            self._workers.follow(task)
        for worker in busy:
            # What is asked for no more, and was not ended by the worker, was ended by somebody else.
            self._suspects |= worker.asked_to_cancel - asked.keys()

    async def _check(self, task_id: int) -> None:
        """Look at one task that a worker here holds, or held."""
        task = None
        with suppress(TaskNotFound):
            task = await self._store.get(task_id)
        for worker in self._workers:
            if task is not None:
                self._workers.tell(worker, task)
            else:
                worker.forget(task_id)

    async def _give(self, worker: ConnectedWorker, held: Task) -> None:
        """Tell a worker of an attempt that it holds and has not been told, with its arguments."""
        with suppress(TaskNotFound):
            task = await self._store.get(held.task_id)
            if (task.worker_id, task.epoch) == (held.worker_id, held.epoch) and worker.misses(task):
                worker.resume(task)

    async def _compare(self, worker: ConnectedWorker) -> None:
        """Bring what a worker is believed to hold in step with what it holds."""
        held = await self._store.held(worker.worker_id)
        if worker.claiming or self._workers.get(worker.worker_id) is not worker:
            return  # what was read may be half of a claim: next time
        for task in held:
            if worker.misses(task):
                await self._give(worker, task)
            else:
                worker.resume(task)
        self._suspects |= worker.held - {task.task_id for task in held}
        if self._suspects:
            self._wanted.set()
