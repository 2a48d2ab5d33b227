"""What time does to tasks: those that waited too long are ended, those that were kept long enough are deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from outlast.core.errors import OutlastError
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.uncut import uncut

#: Seconds between two looks for tasks that have waited too long.
OVERDUE_SECONDS = 1.0
#: Tasks that are ended in one transaction.
OVERDUE_STEP = 200
#: Seconds between two looks for tasks whose time has come.
SWEEP_SECONDS = 5.0
#: Tasks that are deleted in one transaction, and the pause after it, seconds: work that came meanwhile goes first.
SWEEP_STEP, SWEEP_PAUSE = 100, 0.1


class Housekeeping:
    """Looks after all tasks of the store. Every task manager does; the store lets one of them end or delete a task."""

    def __init__(self, store: TaskStore, publish: Publish, on_expired: Callable[[int], None] | None = None) -> None:
        """``on_expired`` is called with the number of tasks that were deleted, where somebody counts them."""
        self._store = store
        self._publish = publish
        self._on_expired = on_expired

    async def run(self) -> None:
        """Look again and again until cancelled."""
        sweep_at = time.monotonic() + SWEEP_SECONDS
        while True:
            await asyncio.sleep(OVERDUE_SECONDS)
            try:
                await self.end_overdue()
                if time.monotonic() >= sweep_at:
                    await self.sweep()
                    sweep_at = time.monotonic() + SWEEP_SECONDS
            except OutlastError as error:
                get_logger().warning("tasks could not be looked after", reason=error.message)

    async def end_overdue(self) -> None:
        """End every task that has waited too long, for a worker or for its code to follow a cancel."""
        while await uncut(self._end_some()) == OVERDUE_STEP:
            pass

    async def sweep(self) -> int:
        """Delete the tasks whose time has come, some at a time; return how many."""
        deleted = 0
        try:
            while count := await self._store.delete_expired(SWEEP_STEP):
                deleted += count
                if self._on_expired is not None:
                    self._on_expired(count)
                if count < SWEEP_STEP:
                    break
                await uncut(self._end_some())  # those wait for nobody's sweep
                await asyncio.sleep(SWEEP_PAUSE)
        finally:
            if deleted:
                get_logger().info("expired tasks deleted", tasks=deleted)
        return deleted

    async def _end_some(self) -> int:
        changes = await self._store.end_overdue(OVERDUE_STEP)
        self._publish(changes)
        return len(changes)
