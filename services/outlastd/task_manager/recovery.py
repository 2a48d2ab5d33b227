"""What becomes of the tasks of workers that died on this machine: they are lost, and told to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.core.errors import OutlastError
from outlast.core.state import StateReason
from outlast.core.worker import Worker
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.worker_lock import is_alive as is_alive_by_lock

#: Seconds between two looks at the workers that hold tasks.
LOOK_SECONDS = 2.0


class Recovery:
    """Ends the tasks of dead workers FAILED(WORKER_LOST).

    Any task manager on the machine may be the one that notices; the store lets one of them end a task.
    """

    def __init__(
        self, store: TaskStore, publish: Publish, is_alive: Callable[[Worker], bool] = is_alive_by_lock
    ) -> None:
        """``is_alive`` may block: it is called on a thread."""
        self._store = store
        self._publish = publish
        self._is_alive = is_alive

    async def look(self) -> int:
        """Look once; return how many tasks were lost."""
        lost = 0
        for worker in await self._store.holders():
            if await asyncio.to_thread(self._is_alive, worker):
                continue
            message = f"worker {worker.worker_id} of agent {worker.agent} ended before the task did"
            changes = await self._store.lose_worker(worker.worker_id, StateReason.WORKER_LOST, message)
            self._publish(changes)
            lost += len(changes)
        return lost

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (OutlastError, OSError) as error:
                get_logger().warning("dead workers could not be looked for", reason=str(error))
