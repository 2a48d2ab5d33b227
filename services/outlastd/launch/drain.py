"""What becomes of the tasks of a process that is told to stop (promise 6)."""

from __future__ import annotations

import asyncio

from outlast.tasks import taken
from outlast.tasks.ledger import Ledger
from outlast.tasks.stream import WorkerStream
from outlast.telemetry.log import get_logger
from outlastd.launch.stop_signal import StopSignal

#: Seconds that the task manager gets to have on disk that the worker takes no new work.
COMMIT_TIMEOUT = 1.0


async def begin_to_drain(ledger: Ledger, stream: WorkerStream, grace: float, stop: StopSignal) -> None:
    """Have the task manager know that there is no new work for this process, then give back what has not begun."""
    ledger.draining = True
    await stop.unless_at_once(stream.drain(min(COMMIT_TIMEOUT, grace)))
    _give_back(ledger)


async def drain(ledger: Ledger, grace: float, stop: StopSignal) -> None:
    """Give running tasks up to ``grace`` seconds, less when a second signal says so; end what is left as FAILED.

    Cut short is not completed: what is left is recorded with the reason WORKER_SHUTDOWN, and then its code is told.
    Where its policy says so it runs again in another process.
    """
    _give_back(ledger)
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
    finish = taken.shut_down("the agent was told to stop, and waited for the task as long as it may")
    for task in ledger.live():
        if ledger.finish(task, finish):
            task.interrupt()


def _give_back(ledger: Ledger) -> None:
    """Let another process have at once what waits in this one, if it is recorded with all that it takes to begin."""
    finish = taken.shut_down("the agent was told to stop before the task had begun")
    for task in ledger.live():
        if task.pending and task.may_run_elsewhere and ledger.finish(task, finish):
            task.interrupt()
