"""How the stores take leases: what stands in the way of one worker, or of one task, is told and keeps no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime

from outlast.core import lifecycle
from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.worker import Worker
from outlast.telemetry.log import get_logger
from outlast.telemetry.metrics.task_metrics import count_lost_leases

#: How many workers whose lease has run out lose it in one call.
EXPIRED_AT_ONCE = 100


def ran_out(worker: Worker) -> str:
    """Return why the tasks of a worker are lost whose lease has run out."""
    return f"worker {worker.worker_id} has not been heard within its lease"


def lost(held: Iterable[Task], message: str, now: datetime, policy: Policy) -> Sequence[Change]:
    """Return what becomes of the tasks of a worker that is gone. One that a bug keeps as it is keeps no other."""
    changes: list[Change] = []
    for task in held:
        try:
            changes.append(lifecycle.lose(task, StateReason.WORKER_LOST, message, now, policy))
        except Exception as error:
            get_logger().error("task of a lost worker stays as it is", taskId=str(task.task_id), error=error)
    return changes


async def lose_each(worker_ids: Iterable[str], lose: Callable[[str], Awaitable[Sequence[Change]]]) -> Sequence[Change]:
    """Take the leases of workers at the same time, each in a transaction of its own; return what has changed.

    Raises:
        StoreUnavailable: nothing has changed.
    """
    ids = list(worker_ids)
    changes: list[Change] = []
    leases = 0
    unavailable: StoreUnavailable | None = None
    for worker_id, outcome in zip(ids, await asyncio.gather(*map(lose, ids), return_exceptions=True), strict=True):
        if isinstance(outcome, StoreUnavailable):
            unavailable = outcome
        elif isinstance(outcome, BaseException):
            get_logger().error("lease of a lost worker cannot be taken", workerId=worker_id, error=outcome)
        else:
            changes += outcome
            leases += bool(outcome)
    count_lost_leases(leases)
    if unavailable is not None and not changes:  # what has changed has to be told: the next call says it again
        raise unavailable
    return changes
