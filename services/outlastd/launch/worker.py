"""This process as a worker: its identity, its task manager (its own or another), its stream to it."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc.aio

from outlast.settings import DEFAULT_TASK_MANAGER_LISTEN, Settings
from outlast.tasks.channel import open_channel
from outlast.tasks.stream import WorkerIdentity, WorkerStream
from outlast.tasks.submitted import run_submitted
from outlast.telemetry.log import get_logger
from outlastd.launch.manager import start_task_manager
from outlastd.launch.places import make_places
from outlastd.task_manager.worker_lock import WorkerLock

if TYPE_CHECKING:
    from outlast.app import App

#: Seconds that the start waits for the task manager before the agent serves without one.
CONNECT_TIMEOUT = 5.0


@dataclass(frozen=True)
class Connection:
    """The way to the task manager."""

    channel: grpc.aio.Channel
    stream: WorkerStream
    #: What the line of the start says of it.
    shown: dict[str, Any]


async def connect_worker(app: App, settings: Settings, stack: AsyncExitStack) -> Connection:
    """Start the worker stream, and before it an embedded task manager where the settings name no other.

    Comes back when tasks can be recorded, or after ``CONNECT_TIMEOUT`` when the other one is out of reach: it may come
    yet. ``stack`` undoes everything when it is left.
    """
    worker_id, lock_path = uuid.uuid4().hex[:16], ""
    tls_root = None
    if settings.task_manager is not None:
        address, token, tls_root = settings.task_manager, settings.worker_token or "", settings.tls_ca
        shown: dict[str, Any] = {"taskManager": address}
    else:
        places = make_places(settings.store_path, worker_id)
        lock = await asyncio.to_thread(WorkerLock.acquire, places.lock)
        stack.callback(places.clear)
        stack.callback(lock.release)
        bound = await start_task_manager(settings, stack, socket=places.socket, agent=settings.agent)
        address, token, lock_path = bound.private, "", str(places.lock)
        shown = {"taskManager": bound.public, "store": settings.store}
        if settings.task_manager_listen is None and bound.public != DEFAULT_TASK_MANAGER_LISTEN:
            get_logger().warning("port is taken", wanted=DEFAULT_TASK_MANAGER_LISTEN, taken_instead=bound.public)
    channel = open_channel(address, tls_root=tls_root)
    stack.push_async_callback(channel.close)
    stream = WorkerStream(
        app.runtime.ledger,
        channel,
        WorkerIdentity(worker_id, settings.agent, sorted(app.async_task.functions), lock_path),
        address=address,
        token=token,
        run=partial(run_submitted, app.runtime, app.async_task.functions),
    )
    stream.start()
    with suppress(TimeoutError):  # the stream has said why in the log, and goes on trying
        await stream.ready(CONNECT_TIMEOUT)
    return Connection(channel, stream, shown)
