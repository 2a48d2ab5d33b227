"""A task manager as a process of its own, and what it shares with an embedded one."""

from __future__ import annotations

import gc
import sys
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from outlast.core.policy import Policy
from outlast.core.value import value
from outlast.settings.defaults import DEFAULT_TASK_MANAGER_LISTEN, EVERYWHERE
from outlast.settings.model import Settings
from outlast.telemetry import tracing
from outlast.telemetry.log import get_logger
from outlastd.launch.loop import run_services, started
from outlastd.launch.stop_signal import StopSignal
from outlastd.launch.telemetry import export_last, set_up_telemetry
from outlastd.stores.opening import open_store
from outlastd.stores.port import TaskStore
from outlastd.task_manager.auth import Access
from outlastd.task_manager.outbox import CLAIM_SECONDS, SpanOutbox
from outlastd.task_manager.server import Bound, ServerSettings, TaskManagerServer

#: Seconds that calls under way get when the task manager stops.
STOP_GRACE = 2.0
#: Seconds for which a thread keeps the interpreter while others want it. The writer of SQLite gives it up several times
#: a commit, and with Python's 5 ms waited longer for it than for the disk.
SWITCH_SECONDS = 0.001
#: Objects after whose making Python looks for cycles. There are next to none, and the values of one batch were looked
#: at a dozen times: an eighth of the time of all threads.
GC_THRESHOLD = 20_000


@value(frozen=True, slots=True)
class RunningTaskManager:
    """A task manager that serves."""

    store: TaskStore
    server: TaskManagerServer
    bound: Bound


def run_task_manager(settings: Settings) -> None:
    """Serve a task manager on this thread until the process is told to stop.

    What refuses to start ends the program with one line and exit code 1.
    """
    # The process is ours alone: no code of a user's runs in it.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
    run_services(lambda: _serve(settings))


async def _serve(settings: Settings) -> None:
    stop = StopSignal(settings.shutdown_grace)
    async with AsyncExitStack() as stack:
        await set_up_telemetry(settings, stack)
        manager = await start_task_manager(settings, stack)
        stop.install()
        get_logger().info("task manager is ready", address=manager.bound.public, store=settings.shown_store)
        started()
        await stop.wait()
        get_logger().info("task manager is stopping")


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
        stack.push_async_callback(export_last, outbox)
    server = TaskManagerServer(
        store,
        ServerSettings(
            listen=listen_address(settings, embedded=socket is not None),
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


def listen_address(settings: Settings, *, embedded: bool) -> str:
    """Return where a task manager listens, ``HOST:PORT``; an embedded one is an agent's or a session host's."""
    if settings.task_manager_listen is not None:
        return settings.task_manager_listen
    # An agent in a container has to start without a token too. A task manager apart would be of no use to anybody:
    # there the refusal says what is missing.
    if settings.container and (settings.token or settings.insecure or not embedded):
        return DEFAULT_TASK_MANAGER_LISTEN.replace("127.0.0.1", EVERYWHERE)
    return DEFAULT_TASK_MANAGER_LISTEN


def policy_of(settings: Settings) -> Policy:
    """Return the rules that the settings make; spans are kept for export only where something exports them."""
    spans = tracing.active() is not None
    return Policy(
        lease_ttl=timedelta(seconds=settings.lease_ttl),
        retention=timedelta(seconds=settings.retention) if settings.retention else None,
        cancel_grace=timedelta(seconds=settings.cancel_grace),
        queue_timeout=timedelta(seconds=settings.queue_timeout) if settings.queue_timeout else None,
        max_backlog=settings.max_backlog,
        spans=spans,
        own_spans=timedelta(seconds=CLAIM_SECONDS if spans else 0),
    )
