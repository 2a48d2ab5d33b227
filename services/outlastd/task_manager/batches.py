"""Commits a worker's operations, whatever is among them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from outlast.core.errors import OutlastError, StoreRefused
from outlast.core.operation import Finish, Operation, Start, Submit
from outlast.core.state import StateReason, TaskState
from outlast.core.task import TaskError
from outlastd.stores.port import Applied, TaskStore

_INVALID_ARGUMENT = 3


async def commit(store: TaskStore, worker_id: str, operations: Sequence[Operation]) -> AsyncIterator[Applied]:
    """Apply operations in order, in as few transactions as the store will take them; give what became of each part.

    What the store refuses is tried in halves. The operation that fails alone ends its task FAILED(STORE_REFUSED) in
    its place; a start or submit that fails alone is refused.

    Raises:
        StoreUnavailable: the parts that were given are durable, the rest is not.
    """
    try:
        applied = await store.apply(worker_id, operations)
    except StoreRefused as refusal:
        if len(operations) == 1:
            yield await _commit_end_instead(store, worker_id, operations[0], refusal)
            return
    else:
        yield applied
        return
    middle = len(operations) // 2
    for half in (operations[:middle], operations[middle:]):
        async for part in commit(store, worker_id, half):
            yield part


def ended_instead(operation: Operation, reason: StateReason, error: OutlastError) -> Operation:
    """Return the operation that ends a task FAILED in the place of one that cannot be applied."""
    failure = TaskError(code=_INVALID_ARGUMENT, message=error.message, type=reason)
    return replace(operation, action=Finish(TaskState.FAILED, reason, error=failure))


async def _commit_end_instead(store: TaskStore, worker_id: str, operation: Operation, refusal: StoreRefused) -> Applied:
    refused = {operation.sequence: refusal}
    if isinstance(operation.action, Start | Submit):
        return Applied(refusals=refused)
    try:
        applied = await store.apply(worker_id, [ended_instead(operation, StateReason.STORE_REFUSED, refusal)])
    except StoreRefused:
        return Applied(refusals=refused)
    return Applied(applied.changes, {**refused, **applied.refusals})
