"""Makes what a session's process needs before it can run, and lets go of it when it has ended."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from outlast.core.session import SessionKey
from outlast.telemetry.log import get_logger
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.config_machine import parse_users
from outlastd.session_host.environment import make_environment
from outlastd.session_host.folders import Folders, StillRuns
from outlastd.session_host.guest_client import Endpoint
from outlastd.session_host.plan import Plan, make_argv, needs_port
from outlastd.session_host.ports import LaunchFailed, LaunchOrder, ProcessLimits
from outlastd.session_host.ports_pool import PortsPool
from outlastd.session_host.reach import check_reach
from outlastd.session_host.users import Users


class Planner:
    """Plans for the sessions of one host. On the services' loop; what blocks is done on threads."""

    def __init__(
        self, config: HostConfig, folder: Path, task_manager: str, worker_token: Callable[[SessionKey], str]
    ) -> None:
        """``folder`` is the host's own; guests reach the task manager at ``task_manager`` with a ``worker_token``."""
        self._config = config
        self._folder = folder.absolute()
        self._task_manager = task_manager
        self._worker_token = worker_token
        self._folders = Folders(self._folder)
        self._ports = PortsPool()
        self._users: Users | None = None

    async def open(self) -> None:
        """Check that sessions can run here, and remove what those of an earlier host have left.

        Raises:
            StartRefused: they cannot; the message says why, and what to do.
        """
        for name in await asyncio.to_thread(self._open):
            get_logger().warning("the folder of an earlier session could not be removed", folder=name)

    async def close(self) -> None:
        """Let go of what all sessions share."""
        await asyncio.to_thread(self._close)

    async def plan(self, key: SessionKey) -> Plan:
        """Return how to run a session, whose folder, user and address are there. Raises LaunchFailed."""
        return await asyncio.to_thread(self._plan, key, self._worker_token(key))

    async def clear(self, plan: Plan) -> None:
        """Wipe the folder of a session of which no process is left, and let others have its user and port."""
        try:
            await asyncio.to_thread(self._clear, plan)
        except (StillRuns, OSError) as error:
            get_logger().error(
                "the folder of a session could not be removed",
                session=plan.order.name,
                reason=str(error) or "processes of the session have not ended",
            )

    def _open(self) -> list[str]:
        if users := parse_users(self._config.users):
            check_reach(dict(self._config.agents), self._folder)
            self._users = Users(users, self._folder)
        return self._folders.open()

    def _close(self) -> None:
        self._folders.close()
        if self._users is not None:
            self._users.close()

    def _plan(self, key: SessionKey, token: str) -> Plan:
        agent = self._config.agents[key.agent]
        folders = self._folders.of(key)
        with ExitStack() as undo:
            try:
                user = self._take_user(undo)
                endpoint = self._make_endpoint(agent, folders.socket, undo)
                folders.make(user)
            except (LookupError, OSError) as error:
                raise LaunchFailed(f"{key}: {error}") from error
            undo.pop_all()
        environment = make_environment(
            key,
            agent,
            os.environ,
            folder=folders.work,
            endpoint=endpoint,
            task_manager=self._task_manager,
            token=token,
            max_body_bytes=self._config.max_body_bytes,
            nameless=user is not None,
        )
        order = LaunchOrder(
            name=str(key),
            argv=make_argv(agent, endpoint),
            environment=environment,
            directory=agent.directory or folders.work,
            lock=folders.lock,
            uid=user,
            gid=user,
            limits=ProcessLimits(agent.max_memory, agent.max_open_files, None if user is None else agent.max_processes),
        )
        return Plan(order, endpoint)

    def _take_user(self, undo: ExitStack) -> int | None:
        if self._users is None:
            return None
        user = self._users.take()
        undo.callback(self._users.give_back, user)
        return user

    def _make_endpoint(self, agent: AgentConfig, socket: Path, undo: ExitStack) -> Endpoint:
        secret = secrets.token_urlsafe(32)
        if not needs_port(agent):
            return Endpoint(socket, secret=secret)
        port = self._ports.take()
        undo.callback(self._ports.give_back, port)
        return Endpoint(port=port, secret=secret)

    def _clear(self, plan: Plan) -> None:
        """Raises StillRuns and OSError; then the user stays taken: something of it may be there."""
        if plan.endpoint.port:
            self._ports.give_back(plan.endpoint.port)
        self._folders.behind(plan.order.lock).wipe()
        if self._users is not None and plan.order.uid is not None:
            self._users.give_back(plan.order.uid)
