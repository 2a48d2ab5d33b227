"""Attempts that the task manager gives to this worker: of tasks from outside, and of those that are tried again."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context
from typing import Any

from outlast.context import Invocation, current_invocation
from outlast.core.errors import InvalidField
from outlast.core.operation import Finish
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Task, TaskError
from outlast.core.validation import clean_text
from outlast.tasks.arguments import from_record
from outlast.tasks.async_task import AsyncTask
from outlast.tasks.outcome import MAX_ERROR_MESSAGE
from outlast.tasks.runtime import TaskRuntime

# google.rpc.Code
_INVALID_ARGUMENT = 3


def run_submitted(runtime: TaskRuntime, functions: Mapping[str, AsyncTask[..., Any, Any]], task: Task) -> None:
    """Begin an attempt that is on record as begun here. On the services' loop: the function itself runs elsewhere.

    Called once for each attempt (Orders.run). What cannot be begun at all, such as arguments that do not fit, is the
    task's failure (INPUT_REFUSED), which no other attempt would mend.
    """
    context = Context()
    context.run(current_invocation.set, Invocation(task.request_id, task.session_id, task.trace_context))
    context.run(_begin, runtime, functions, task)


def _begin(runtime: TaskRuntime, functions: Mapping[str, AsyncTask[..., Any, Any]], task: Task) -> None:
    function = functions.get(task.task_type)
    if function is None:
        _refuse(runtime, task, f"this worker has no function for tasks of the type {task.task_type}")
        return
    try:
        args, kwargs = from_record(task.input)
        function.take_over(task, args, kwargs)
    except (InvalidField, TypeError) as error:
        _refuse(runtime, task, f"the recorded arguments do not fit {task.task_type}: {error}")


def _refuse(runtime: TaskRuntime, task: Task, why: str) -> None:
    tracked = runtime.ledger.adopt(task)
    error = TaskError(_INVALID_ARGUMENT, clean_text(why, MAX_ERROR_MESSAGE), StateReason.INPUT_REFUSED)
    runtime.ledger.finish(tracked, Finish(TaskState.FAILED, StateReason.INPUT_REFUSED, error=error))
