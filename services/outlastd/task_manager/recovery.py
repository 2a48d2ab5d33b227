"""What becomes of the tasks of workers that died on this machine: their locks tell at once, or a session's host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.core.errors import OutlastError
from outlast.core.session import SessionKey
from outlast.core.worker import Worker
from outlast.telemetry.log import get_logger
from outlast.telemetry.metrics.task_metrics import count_lost_leases
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.uncut import uncut
from outlastd.task_manager.worker_lock import is_alive as is_alive_by_lock

#: Seconds between two looks at the workers.
LOOK_SECONDS = 2.0


class Recovery:
    """Takes the leases of dead workers before they run out.

    Any task manager on the machine may be the one that notices; the store lets one of them take a lease.
    """

    def __init__(
        self, store: TaskStore, publish: Publish, is_alive: Callable[[Worker], bool] = is_alive_by_lock
    ) -> None:
        """``is_alive`` may block: it is called on a thread."""
        self._store = store
        self._publish = publish
        self._is_alive = is_alive

    async def look(self) -> int:
        """Look once; return how many tasks were taken from dead workers."""
        lost = 0
        for worker in await self._store.living_workers():
            if worker.lock_path and not await asyncio.to_thread(self._is_alive, worker):
                message = f"worker {worker.worker_id} of agent {worker.agent} ended before the task did"
                lost += await uncut(self._lose(worker, message))
        return lost

    async def lose_session(self, key: SessionKey, message: str) -> int:
        """Take the leases of a session's workers, which are gone; return how many tasks were taken from them.

        ``message`` says why, for people. Raises StoreUnavailable: then the leases run out instead.
        """
        lost = 0
        for worker in await self._store.living_workers():
            if SessionKey(worker.agent, worker.session_id) == key:
                lost += await uncut(self._lose(worker, message))
        return lost

    async def look_if_possible(self) -> None:
        """Look once; what stands in the way is told in the log, and may be gone at the next look."""
        try:
            await self.look()
        except (OutlastError, OSError) as error:
            get_logger().warning("dead workers could not be looked for", reason=str(error))

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_if_possible()

    async def _lose(self, worker: Worker, message: str) -> int:
        changes = await self._store.lose_worker(worker.worker_id, worker.epoch, message)
        self._publish(changes)
        count_lost_leases(bool(changes))
        return len(changes)
