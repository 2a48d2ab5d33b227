"""A task manager as a process of its own, and what it shares with an embedded one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from outlast.settings import DEFAULT_TASK_MANAGER_LISTEN, Settings
from outlast.telemetry import records, tracing
from outlast.telemetry.libraries import quiet_libraries
from outlast.telemetry.log import configure, get_logger
from outlastd.launch.loop import run_services
from outlastd.launch.stop_signal import StopSignal
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.auth import Access
from outlastd.task_manager.server import Bound, ServerSettings, TaskManagerServer

#: Seconds that calls under way get when the task manager stops.
STOP_GRACE = 2.0
#: Seconds that log handlers of the program's own get for the last lines.
LOG_GRACE = 0.5
#: Seconds that the last spans get.
SPANS_GRACE = 0.8


def run_task_manager(settings: Settings) -> None:
    """Serve a task manager on this thread until the process is told to stop.

    What refuses to start ends the program with one line and exit code 1.
    """
    run_services(lambda: _serve(settings))


async def _serve(settings: Settings) -> None:
    stop = StopSignal(settings.shutdown_grace)
    async with AsyncExitStack() as stack:
        set_up_telemetry(settings, stack)
        bound = await start_task_manager(settings, stack)
        stop.install()
        get_logger().info("task manager is ready", address=bound.public, store=settings.store)
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
    settings: Settings, stack: AsyncExitStack, *, socket: Path | None = None, agent: str = ""
) -> Bound:
    """Open the store and serve; ``stack`` undoes it when it is left.

    With ``socket`` the WorkerService is served there only; ``agent`` is the one agent of an embedded task manager.
    """
    store = await SQLiteTaskStore.open(settings.store_path)
    stack.push_async_callback(store.close)
    server = TaskManagerServer(
        store,
        ServerSettings(
            listen=settings.task_manager_listen or DEFAULT_TASK_MANAGER_LISTEN,
            search=settings.task_manager_listen is None and agent != "",
            socket_path=socket,
            agent=agent,
            access=Access(
                token=settings.token or "",
                worker_token=settings.worker_token or "",
                insecure=settings.insecure,
                tls_cert=str(settings.tls_cert or ""),
                tls_key=str(settings.tls_key or ""),
            ),
        ),
    )
    bound = await server.start()
    stack.push_async_callback(server.stop, STOP_GRACE)
    return bound
