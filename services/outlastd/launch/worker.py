"""This process as a worker: its identity, its task manager (its own or another), its stream to it.

Stream and task manager of its own are both on the services' loop, and speak in memory; whoever else asks that task
manager, the front door among them, does so over gRPC.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from outlast.core.value import value
from outlast.loading import loading
from outlast.settings.model import Settings
from outlast.tasks.channel import Replicas
from outlast.tasks.deadlines import Deadlines
from outlast.tasks.following import Follower
from outlast.tasks.stream import Call, WorkerIdentity, WorkerStream
from outlast.tasks.submitted import run_submitted
from outlast.telemetry.log import get_logger
from outlastd.launch.places import make_places
from outlastd.task_manager.worker_lock import WorkerLock

if TYPE_CHECKING:
    from outlast.app import App

#: Seconds that the start waits for the task manager before the agent serves without one.
CONNECT_TIMEOUT = 5.0


@value(frozen=True, slots=True)
class Connection:
    """The way to the task manager."""

    replicas: Replicas
    stream: WorkerStream
    #: What the line of the start says of it.
    shown: dict[str, Any]


@value(frozen=True, slots=True)
class _Manager:
    """A task manager: where it is, and what a worker and a caller show there."""

    replicas: Replicas
    address: str
    shown: dict[str, Any]
    worker_token: str = ""
    token: str = ""
    lock_path: str = ""
    #: Opens a worker's stream to it; None where that goes over gRPC.
    connect: Callable[[], Call] | None = None


async def connect_worker(app: App, settings: Settings, stack: AsyncExitStack) -> Connection:
    """Start the worker stream, and before it an embedded task manager where the settings name no other.

    Comes back when tasks can be recorded, or after ``CONNECT_TIMEOUT`` when the other one is out of reach: it may come
    yet. ``stack`` undoes everything when it is left.
    """
    worker_id = uuid.uuid4().hex[:16]
    if settings.task_manager is None:
        manager = await _embedded(settings, worker_id, stack)
    else:
        addresses = settings.task_manager.split(",")
        random.shuffle(addresses)  # many agents are told the same ones, and should not all go to the first
        manager = _Manager(
            Replicas(addresses, tls_root=settings.tls_ca),
            settings.task_manager,
            {"taskManager": settings.task_manager},
            worker_token=settings.worker_token or "",
            token=settings.token or "",
        )
    stack.push_async_callback(manager.replicas.close)
    ledger = app.runtime.ledger
    stream = WorkerStream(
        ledger,
        manager.replicas,
        WorkerIdentity(
            worker_id,
            settings.agent,
            sorted(app.async_task.functions),
            manager.lock_path,
            session_id=settings.session,
            max_tasks=settings.max_tasks,
        ),
        address=manager.address,
        token=manager.worker_token,
        run=partial(run_submitted, app.runtime, app.async_task.functions),
        connect=manager.connect,
    )
    follower = Follower(manager.replicas, manager.token, ledger.knows)
    stack.push_async_callback(follower.close)
    stack.callback(Deadlines(ledger).close)
    app.runtime.elsewhere = follower
    stack.push_async_callback(stream.hang_up)  # of a start that fails, before its task manager is out of reach
    stream.start()
    with suppress(TimeoutError):  # the stream has said why in the log, and goes on trying
        await stream.ready(CONNECT_TIMEOUT)
    return Connection(manager.replicas, stream, manager.shown)


async def _embedded(settings: Settings, worker_id: str, stack: AsyncExitStack) -> _Manager:
    """Start a task manager in this process."""
    with loading():  # with its store: not for every worker
        from outlastd.launch.manager import listen_address, start_task_manager

    places = make_places(settings.store_path, worker_id)
    stack.callback(places.clear)
    if places.lock is not None:
        lock = await asyncio.to_thread(WorkerLock.acquire, places.lock)
        stack.callback(lock.release)
    manager = await start_task_manager(settings, stack, socket=places.socket, agent=settings.agent, worker_id=worker_id)
    bound = manager.bound
    wanted = listen_address(settings, embedded=True)
    if settings.task_manager_listen is None and bound.public != wanted:
        get_logger().warning("port is taken", wanted=wanted, taken_instead=bound.public)
    return _Manager(
        Replicas([bound.private]),
        bound.private,
        {"taskManager": bound.public, "store": settings.shown_store},
        lock_path=str(places.lock or ""),
        connect=manager.server.own_streams.open,
    )
