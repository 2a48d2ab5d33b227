"""Tasks that were submitted from outside: CreateTask asks, and this worker runs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import Context
from typing import Any

from outlast.context import Invocation, current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.task import Task
from outlast.tasks.async_task import AsyncTask
from outlast.tasks.outcome import raised
from outlast.tasks.runtime import TaskRuntime


def run_submitted(runtime: TaskRuntime, functions: Mapping[str, AsyncTask[..., Any, Any]], task: Task) -> None:
    """Begin an attempt of a submitted task. On the services' loop: the function itself runs elsewhere.

    What cannot be begun, such as arguments that do not fit, is the task's failure.
    """
    context = Context()
    context.run(current_invocation.set, Invocation(task.request_id, task.session_id, task.trace_context))
    context.run(_begin, runtime, functions, task)


def _begin(runtime: TaskRuntime, functions: Mapping[str, AsyncTask[..., Any, Any]], task: Task) -> None:
    if runtime.ledger.knows(task.task_id):
        return  # offered a second time, after a break of the stream
    try:
        arguments = json.loads(task.input or b"{}")
        functions[task.task_type].begin(task.task_id, arguments.get("args", ()), arguments.get("kwargs", {}))
    except TaskManagerUnavailable:
        return  # it is offered again once the manager is back
    except Exception as error:
        tracked = runtime.track(task.task_type, task_id=task.task_id)
        runtime.ledger.finish(tracked.task_id, raised(error, cancel_requested=False))
