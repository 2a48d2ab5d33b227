"""What a start makes of the workers that did not live to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.core.state import StateReason
from outlast.core.worker import Worker
from outlastd.stores.port import TaskStore
from outlastd.task_manager.projection import Projector, TelemetryProjector, project
from outlastd.task_manager.worker_lock import is_alive as is_alive_by_lock


async def recover_lost_workers(
    store: TaskStore,
    projector: Projector | None = None,
    is_alive: Callable[[Worker], bool] = is_alive_by_lock,
) -> int:
    """End the tasks of dead workers FAILED(WORKER_LOST), with their lines and spans; return how many there were.

    ``is_alive`` may block: it is called on a thread.
    """
    projector = projector or TelemetryProjector()
    lost = 0
    for worker in await store.holders():
        if await asyncio.to_thread(is_alive, worker):
            continue
        message = f"worker {worker.worker_id} of agent {worker.agent} ended before the task did"
        for change in await store.lose_worker(worker.worker_id, StateReason.WORKER_LOST, message):
            project(change, projector)
            lost += 1
    return lost
