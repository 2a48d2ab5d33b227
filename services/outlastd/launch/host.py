"""A session host: the client API, the sessions with their processes, and a task manager beside them."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import Any

import attrs

from outlast.core.errors import OutlastError, StartRefused
from outlast.settings.model import Settings
from outlast.settings.values import Address, parse_address
from outlast.tasks.channel import Replicas
from outlast.telemetry.log import get_logger
from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.front_door.guard import Guard
from outlastd.front_door.listening import why_not_listening
from outlastd.front_door.measured import measured
from outlastd.front_door.task_client import TaskClient
from outlastd.launch.loop import run_services
from outlastd.launch.manager import RunningTaskManager, start_task_manager
from outlastd.launch.stop_signal import StopSignal
from outlastd.launch.telemetry import set_up_telemetry
from outlastd.session_host.api import Api
from outlastd.session_host.auth.authenticator import make_authenticator
from outlastd.session_host.auth.neighbours import Neighbours
from outlastd.session_host.config import HostConfig
from outlastd.session_host.host_folder import HostFolder, keep_private
from outlastd.session_host.host_tasks import HostTasks
from outlastd.session_host.planner import Planner
from outlastd.session_host.processes.launcher import ForkingLauncher
from outlastd.session_host.refusals import refused
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.strict import Strict


def run_host(config: HostConfig, settings: Settings) -> None:
    """Serve a session host on this thread until the process is told to stop.

    What refuses to start ends the program with one line and exit code 1.
    """
    run_services(lambda: _serve(config, settings))


async def _serve(config: HostConfig, settings: Settings) -> None:
    stop = StopSignal(settings.shutdown_grace)
    async with AsyncExitStack() as stack:
        await set_up_telemetry(settings, stack)
        assert config.folder is not None, "reading a configuration names one"
        folder = await asyncio.to_thread(HostFolder.open, config.folder)
        stack.push_async_callback(asyncio.to_thread, folder.close)
        settings = await _for_host(config, settings, folder)
        if settings.store_path is not None:
            await asyncio.to_thread(keep_private, settings.store_path)
        launcher = ForkingLauncher()
        await launcher.start()
        stack.push_async_callback(launcher.close)
        manager = await start_task_manager(settings, stack, socket=folder.tasks_socket, guests=True)
        strict = Strict(config.strict)
        for name, agent in config.agents.items():
            strict.environment(name, sum(len(f"{key}{value}".encode()) for key, value in agent.environment.items()))
        sessions = await _open_sessions(config, settings, folder, manager, launcher, strict, stack)
        server, address = await _listen(config, settings, manager, sessions, strict, stack)
        stop.install()
        made: dict[str, Any] = {} if settings.token_file is None else {"tokenFile": str(settings.token_file)}
        get_logger().info(
            "session host is ready",
            address=address,
            agents=sorted(config.agents),
            taskManager=manager.bound.public,
            store=settings.shown_store,
            **made,
        )
        grace = await stop.wait()
        get_logger().info("session host is stopping", seconds=grace)
        await server.stop_listening()
        await stop.unless_at_once(sessions.close(grace))


async def _for_host(config: HostConfig, settings: Settings, folder: HostFolder) -> Settings:
    """Return the settings as the task manager and the operator have them: with a token for each kind of caller."""
    token, token_file = settings.token, None
    if token is None:
        token, token_file = await asyncio.to_thread(folder.operator_token), folder.token_file
    return attrs.evolve(
        settings,
        store=config.store or folder.default_store,
        task_manager_listen=config.task_manager_listen,
        token=token,
        token_file=token_file,
        # Guests show tokens that are made from it, and end with the host.
        worker_token=settings.worker_token or secrets.token_urlsafe(32),
    )


async def _open_sessions(
    config: HostConfig,
    settings: Settings,
    folder: HostFolder,
    manager: RunningTaskManager,
    launcher: ForkingLauncher,
    strict: Strict,
    stack: AsyncExitStack,
) -> Sessions:
    tasks = HostTasks(manager.server, settings.worker_token or "")
    planner = Planner(config, folder.path, f"unix:{folder.tasks_socket}", tasks.worker_token)
    stack.push_async_callback(planner.close)
    await planner.open()
    owner = await asyncio.to_thread(folder.owner) if config.name is None else config.name
    sessions = Sessions(config, manager.store.sessions, launcher, planner, tasks, strict, host=owner)
    stack.push_async_callback(sessions.close, 0)
    try:
        await manager.store.sessions.hold(owner)
        await sessions.open()
    except StartRefused:
        raise
    except OutlastError as error:
        raise StartRefused(f"what an earlier session host has left cannot be settled: {error.message}") from None
    return sessions


async def _listen(
    config: HostConfig,
    settings: Settings,
    manager: RunningTaskManager,
    sessions: Sessions,
    strict: Strict,
    stack: AsyncExitStack,
) -> tuple[AiohttpServer, str]:
    repeats = Repeats(config.repeat_seconds, config.repeat_bytes)
    stack.push_async_callback(repeats.close)
    replicas = Replicas([manager.bound.private])
    stack.push_async_callback(replicas.close)
    neighbours = Neighbours(sessions.processes)
    authenticator = await asyncio.to_thread(make_authenticator, config.auth, settings.token or "", neighbours)
    stack.push_async_callback(authenticator.close)
    api = Api(
        config,
        sessions,
        authenticator,
        repeats,
        TaskClient(replicas, settings.token or ""),
        strict,
        guard=Guard(settings.allowed_origins, settings.allowed_hosts),
    )
    server = AiohttpServer(measured(api, api.route_of), refused=refused)
    stack.push_async_callback(server.close)
    wanted = parse_address(config.listen)
    try:
        (host, port), *_ = await server.listen(wanted.host, wanted.port)
    except (OSError, OverflowError) as error:
        raise StartRefused(
            f"the session host cannot listen on {wanted}: {why_not_listening(error)}; "
            "choose another address with `listen`, --host or --port"
        ) from None
    return server, f"http://{Address(host, port)}"
