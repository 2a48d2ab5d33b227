"""A task manager as a process of its own, and what it shares with an embedded one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from outlast.core.policy import Policy
from outlast.settings import DEFAULT_TASK_MANAGER_LISTEN, Settings
from outlast.telemetry import records, tracing
from outlast.telemetry.libraries import quiet_libraries
from outlast.telemetry.log import configure, get_logger
from outlastd.launch.loop import run_services
from outlastd.launch.stop_signal import StopSignal
from outlastd.stores.opening import open_store
from outlastd.stores.port import TaskStore
from outlastd.task_manager.auth import Access
from outlastd.task_manager.outbox import SpanOutbox
from outlastd.task_manager.server import Bound, ServerSettings, TaskManagerServer

#: Seconds that calls under way get when the task manager stops.
STOP_GRACE = 2.0
#: Seconds that log handlers of the program's own get for the last lines.
LOG_GRACE = 0.5
#: Seconds that the last spans get in all (`docker stop` kills 10 s after its signal; an agent's grace takes 8), and
#: those of the outbox of it: what is late waits there for whoever serves next.
SPANS_GRACE, OUTBOX_GRACE = 0.6, 0.4


@dataclass(frozen=True, slots=True)
class RunningTaskManager:
    """A task manager that serves."""

    store: TaskStore
    server: TaskManagerServer
    bound: Bound


def run_task_manager(settings: Settings) -> None:
    """Serve a task manager on this thread until the process is told to stop.

    What refuses to start ends the program with one line and exit code 1.
    """
    run_services(lambda: _serve(settings))


async def _serve(settings: Settings) -> None:
    stop = StopSignal(settings.shutdown_grace)
    async with AsyncExitStack() as stack:
        set_up_telemetry(settings, stack)
        manager = await start_task_manager(settings, stack)
        stop.install()
        get_logger().info("task manager is ready", address=manager.bound.public, store=settings.shown_store)
        await stop.wait()
        get_logger().info("task manager is stopping")


def set_up_telemetry(settings: Settings, stack: AsyncExitStack) -> None:
    """Set up log lines and spans, on the services' loop; ``stack`` exports the last spans when it is left."""
    configure(level=settings.log_level, logger_name=settings.logger_name)
    stack.push_async_callback(asyncio.to_thread, records.hand_over_from_here(), LOG_GRACE)
    quiet_libraries()
    if tracing.set_up(settings.agent):
        stack.push_async_callback(asyncio.to_thread, tracing.shutdown, SPANS_GRACE)


async def start_task_manager(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    socket: Path | None = None,
    guests: bool = False,
    agent: str = "",
    worker_id: str = "",
) -> RunningTaskManager:
    """Open the store and serve; ``stack`` undoes it when it is left. Tracing is set up before, or stays off.

    With ``socket`` the WorkerService is served there only: to this user, or, with ``guests``, to whoever shows a token,
    and then ``settings`` have one for either service. ``agent`` is the one agent of an embedded task manager, and
    ``worker_id`` the worker of this process, whose lease it never takes.

    Raises:
        StartRefused: the store or an address cannot be had; one line that names cause and cure.
    """
    access = Access(
        token=settings.token or "",
        worker_token=settings.worker_token or "",
        insecure=settings.insecure,
        tls_cert=str(settings.tls_cert or ""),
        tls_key=str(settings.tls_key or ""),
    )
    if guests and not (access.token and access.worker_token):
        raise ValueError("a task manager for guests has both tokens")
    policy = policy_of(settings)
    store = await open_store(settings.store, settings.store_path, policy)
    stack.push_async_callback(store.close)
    outbox = SpanOutbox(store) if policy.spans else None
    if outbox is not None:
        stack.push_async_callback(_export_last_spans, outbox)
    server = TaskManagerServer(
        store,
        ServerSettings(
            listen=settings.task_manager_listen or DEFAULT_TASK_MANAGER_LISTEN,
            search=settings.task_manager_listen is None and socket is not None,
            socket_path=socket,
            socket_access=access if guests else Access(),
            agent=agent,
            own_worker=worker_id,
            access=access,
        ),
        outbox=outbox,
    )
    bound = await server.start()
    stack.push_async_callback(server.stop, STOP_GRACE)
    return RunningTaskManager(store, server, bound)


async def _export_last_spans(outbox: SpanOutbox) -> None:
    """Export what has ended, then all other spans in the time that is left; switching tracing off again is nothing."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SPANS_GRACE
    await outbox.flush(OUTBOX_GRACE)
    await asyncio.to_thread(tracing.shutdown, max(deadline - loop.time(), 0.0))


def policy_of(settings: Settings) -> Policy:
    """Return the rules that the settings make; spans are kept for export only where something exports them."""
    return Policy(
        lease_ttl=timedelta(seconds=settings.lease_ttl),
        retention=timedelta(seconds=settings.retention) if settings.retention else None,
        cancel_grace=timedelta(seconds=settings.cancel_grace),
        queue_timeout=timedelta(seconds=settings.queue_timeout) if settings.queue_timeout else None,
        max_backlog=settings.max_backlog,
        spans=tracing.active() is not None,
    )
