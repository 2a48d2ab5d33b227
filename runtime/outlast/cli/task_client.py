"""Questions to a task manager, each on a connection of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio

from outlast.core.errors import InvalidField, OutlastError, TaskManagerUnavailable
from outlast.core.state import TaskState
from outlast.core.task_id import parse_task_name
from outlast.settings import DEFAULT_TASK_MANAGER_LISTEN, load_settings
from outlast.tasks.channel import bearer, open_channel
from outlast.v1 import task_pb2
from outlast.v1.task_service_pb2 import GetTaskRequest, ListTasksRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.errors import from_rpc_error

#: Seconds that one question may take.
_TIMEOUT = 15.0
_PAGE_SIZE = 1000

Answer = TypeVar("Answer")
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Connection:
    """Where a task manager is, and what it is shown."""

    address: str
    token: str = ""
    #: With a PEM file of authorities the connection is TLS.
    tls_ca: Path | None = None


def connection(task_manager: str | None, token: str | None) -> Connection:
    """Return the connection that the options ask for, else the environment, else the default.

    Raises:
        StartRefused: an address or a variable of the environment cannot be taken.
    """
    if task_manager is not None:
        os.environ["OUTLAST_TASK_MANAGER"] = task_manager
    settings = load_settings()
    return Connection(
        settings.task_manager or settings.task_manager_listen or DEFAULT_TASK_MANAGER_LISTEN,
        token or settings.token or "",
        settings.tls_ca,
    )


def get_task(connection: Connection, task: str) -> task_pb2.Task:
    """Return one task in full. ``task`` is its id or its name.

    Raises:
        InvalidField: it is neither.
        TaskNotFound, TaskManagerUnavailable.
    """
    name = task if task.startswith("tasks/") else f"tasks/{task}"
    if parse_task_name(name) is None:
        raise InvalidField("ID", f"{task!r} is no task's id: it is a number, as in the first column of the list")
    return _ask(
        connection,
        lambda tasks, metadata: tasks.GetTask(GetTaskRequest(name=name), metadata=metadata, timeout=_TIMEOUT),
    )


def list_tasks(
    connection: Connection, *, states: Sequence[TaskState], session_id: str, agent: str, limit: int
) -> list[task_pb2.Task]:
    """Return up to ``limit`` tasks, the newest first, without their results. Raises TaskManagerUnavailable."""
    request = ListTasksRequest(
        states=[task_pb2.Task.State.ValueType(state) for state in states], session_id=session_id, agent=agent
    )

    async def pages(tasks: TaskServiceStub, metadata: Metadata) -> list[task_pb2.Task]:
        found: list[task_pb2.Task] = []
        while len(found) < limit:
            request.page_size = min(limit - len(found), _PAGE_SIZE)
            page = await tasks.ListTasks(request, metadata=metadata, timeout=_TIMEOUT)
            found.extend(page.tasks)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    return _ask(connection, pages)


def _ask(connection: Connection, question: Callable[[TaskServiceStub, Metadata], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        async with open_channel(connection.address, tls_root=connection.tls_ca) as channel:
            return await question(TaskServiceStub(channel), bearer(connection.token))

    try:
        return asyncio.run(ask())
    except grpc.aio.AioRpcError as failure:
        raise _told(failure, connection) from None


def _told(failure: grpc.aio.AioRpcError, connection: Connection) -> OutlastError:
    match failure.code():
        case grpc.StatusCode.UNAVAILABLE if not failure.trailing_metadata():
            cure = "start one with `outlast run FILE`, or name another with --task-manager"
            return TaskManagerUnavailable(f"no task manager answers at {connection.address}: {cure}")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return TaskManagerUnavailable(f"{connection.address} did not answer within {_TIMEOUT:g} s")
        case grpc.StatusCode.UNAUTHENTICATED | grpc.StatusCode.PERMISSION_DENIED:
            return TaskManagerUnavailable(
                f"{connection.address} asks for another token: set OUTLAST_TOKEN or give --token"
            )
        case _:
            return from_rpc_error(failure)
