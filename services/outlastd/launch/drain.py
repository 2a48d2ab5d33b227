"""What becomes of running tasks when the process is told to stop (promise 6)."""

from __future__ import annotations

import asyncio

from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TaskError
from outlast.tasks.ledger import Ledger
from outlast.telemetry.log import get_logger
from outlastd.launch.stop_signal import StopSignal


async def drain(ledger: Ledger, grace: float, stop: StopSignal) -> None:
    """Give running tasks up to ``grace`` seconds, less when a second signal says so; end what is left as FAILED.

    Cut short is not completed: what is left is recorded with the reason WORKER_SHUTDOWN, and then its code is told.
    """
    log = get_logger()
    if running := [f"{task.task_type} ({task.name})" for task in ledger.live()]:
        log.info("waiting for running tasks", seconds=grace, tasks=running)
    loop, idle = asyncio.get_running_loop(), asyncio.Event()

    def tell(busy: bool) -> None:
        if not busy:
            loop.call_soon_threadsafe(idle.set)

    undo = ledger.on_busy(tell)
    try:
        if ledger.busy:
            await stop.unless_at_once(idle.wait(), grace)
    finally:
        undo()
    for task in ledger.live():
        error = TaskError(
            code=10,  # ABORTED
            message="the agent was told to stop, and waited for the task as long as it may",
            type=StateReason.WORKER_SHUTDOWN,
        )
        if ledger.finish(task.task_id, Finish(TaskState.FAILED, StateReason.WORKER_SHUTDOWN, error=error)):
            task.interrupt()
