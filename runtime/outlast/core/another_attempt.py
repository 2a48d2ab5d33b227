"""Whether an attempt that has failed is followed by another one: the agent asks it too, before it is recorded."""

from __future__ import annotations

from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task

#: Why an attempt may have failed that another one could do better. What cannot be kept or written never can.
_WORTH_ANOTHER = frozenset({"", StateReason.DEADLINE, StateReason.WORKER_LOST, StateReason.WORKER_SHUTDOWN})


def may_run_again(task: Task, finish: Finish) -> bool:
    """Whether a task whose attempt ended like this gets another one."""
    return (
        finish.state is TaskState.FAILED
        and finish.state_reason in _WORTH_ANOTHER
        and 0 < task.attempt < task.max_attempts
        and task.cancel_requested_at is None
    )
