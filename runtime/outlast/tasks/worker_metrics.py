"""What is measured of a worker while metrics are on: its places, what the task manager owes it, and blocked loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from outlast.tasks.call_pool import CallPool
from outlast.tasks.runtime import TaskRuntime
from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.buckets import CALL_SECONDS
from outlast.telemetry.metrics.observed import end_all

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation

#: What a slot is for: a task of this process, the thread of a task that is a plain function, the thread of a blocking
#: handler.
TASK, TASK_THREAD, CALL_THREAD = "task", "task_thread", "call_thread"
#: The name of the process as a whole among the loops: something held the interpreter's lock, or the machine slept.
PROCESS = "process"


def observe_worker(runtime: TaskRuntime, pool: CallPool, max_tasks: int) -> Callable[[], None]:
    """Show a worker to whoever collects, until what is returned is called; nothing while metrics are off.

    ``max_tasks`` is 0 for no bound. Whoever collects, on whatever thread, reads single numbers, which needs no lock.
    """
    active = metering.active()
    if active is None:
        return _nothing
    from opentelemetry.metrics import Observation

    def of(figures: dict[str, int]) -> Iterable[Observation]:
        return [Observation(value, {"kind": kind}) for kind, value in figures.items()]

    ledger, threads, observed = runtime.ledger, runtime.threads, active.observed
    ends = [
        observed.sum(
            "outlast.worker.slots.used",
            lambda: of({TASK: ledger.size, TASK_THREAD: threads.running, CALL_THREAD: pool.running}),
            unit="{slot}",
            description="Places of this worker that are taken",
        ),
        observed.sum(
            "outlast.worker.slots.limit",
            lambda: of(
                ({TASK: max_tasks} if max_tasks else {}) | {TASK_THREAD: threads.limit, CALL_THREAD: pool.limit}
            ),
            unit="{slot}",
            description="Places that there may be; a kind without a bound has none",
        ),
        observed.sum(
            "outlast.worker.slots.waiting",
            lambda: of({TASK_THREAD: threads.waiting, CALL_THREAD: pool.waiting}),
            unit="{request}",
            description="What waits in this worker for a place",
        ),
        observed.sum(
            "outlast.worker.pending_operations",
            lambda: [Observation(ledger.watermark - ledger.answered)],
            unit="{operation}",
            description="What the task manager has not confirmed yet of this worker's tasks",
        ),
    ]

    return partial(end_all, ends)


def stall_recorder() -> Callable[[str, float], None]:
    """Return what takes note of a loop that was blocked, and for how many seconds; nothing while metrics are off."""
    active = metering.active()
    if active is None:
        return _nothing
    stalls = active.meter.create_histogram(
        "outlast.loop.stall.duration",
        unit="s",
        description="For how long user code has blocked a loop, or the process has stood still",
        explicit_bucket_boundaries_advisory=CALL_SECONDS,
    )
    return lambda loop, seconds: stalls.record(seconds, {"loop": loop})


def _nothing(*_: object) -> None:
    """Take no note."""
