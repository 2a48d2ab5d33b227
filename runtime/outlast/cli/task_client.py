"""What commands ask of a task manager, and what they have it do."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from outlast.cli.connection import TIMEOUT, Connection, Metadata, ask
from outlast.core.errors import InvalidField
from outlast.core.state import TaskState
from outlast.core.task_id import parse_task_name
from outlast.v1 import task_pb2
from outlast.v1.task_service_pb2 import (
    CancelTaskRequest,
    DeleteTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    RetryTaskRequest,
)
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.times import seconds_to_proto

_PAGE_SIZE = 1000


def task_name(task: str) -> str:
    """Return the name of a task, given that or its id.

    Raises:
        InvalidField: it is neither.
    """
    name = task if task.startswith("tasks/") else f"tasks/{task}"
    if parse_task_name(name) is None:
        raise InvalidField("ID", f"{task!r} is no task's id: it is a number, as in the first column of the list")
    return name


def get_task(connection: Connection, task: str) -> task_pb2.Task:
    """Return one task in full. ``task`` is its id or its name.

    Raises:
        InvalidField: it is neither.
        TaskNotFound, TaskManagerUnavailable.
    """
    request = GetTaskRequest(name=task_name(task))
    return ask(connection, lambda tasks, metadata: tasks.GetTask(request, metadata=metadata, timeout=TIMEOUT))


def list_tasks(
    connection: Connection, *, states: Sequence[TaskState], session_id: str, agent: str, limit: int
) -> list[task_pb2.Task]:
    """Return up to ``limit`` tasks, the newest first, without their results. Raises TaskManagerUnavailable."""

    async def pages(tasks: TaskServiceStub, metadata: Metadata) -> list[task_pb2.Task]:
        request = ListTasksRequest(
            states=[task_pb2.Task.State.ValueType(state) for state in states], session_id=session_id, agent=agent
        )
        found: list[task_pb2.Task] = []
        while len(found) < limit:
            request.page_size = min(limit - len(found), _PAGE_SIZE)
            page = await tasks.ListTasks(request, metadata=metadata, timeout=TIMEOUT)
            found.extend(page.tasks)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    return ask(connection, pages)


def cancel_task(connection: Connection, task: str, *, force: bool, grace: float | None) -> task_pb2.Task:
    """Ask a task to stop; return it as it stands then. ``grace`` in seconds, None for the task manager's.

    Raises:
        InvalidField, TaskNotFound, IllegalTransition, TaskManagerUnavailable.
    """
    request = CancelTaskRequest(name=task_name(task), force=force, grace=seconds_to_proto(grace))
    return ask(connection, lambda tasks, metadata: tasks.CancelTask(request, metadata=metadata, timeout=TIMEOUT))


def retry_task(connection: Connection, task: str) -> task_pb2.Task:
    """Submit a new task with the arguments of a terminal one; return the new one.

    Raises:
        InvalidField, TaskNotFound, IllegalTransition, BacklogFull, TaskManagerUnavailable.
    """
    # With a key, since a question may reach two replicas.
    request = RetryTaskRequest(name=task_name(task), idempotency_key=str(uuid.uuid4()))
    return ask(connection, lambda tasks, metadata: tasks.RetryTask(request, metadata=metadata, timeout=TIMEOUT))


def delete_task(connection: Connection, task: str) -> None:
    """Delete a terminal task.

    Raises:
        InvalidField, TaskNotFound, IllegalTransition, TaskManagerUnavailable.
    """
    request = DeleteTaskRequest(name=task_name(task))
    ask(connection, lambda tasks, metadata: tasks.DeleteTask(request, metadata=metadata, timeout=TIMEOUT))
