"""A registry of sessions over real processes, a real database and real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from outlast.core.policy import DEFAULT_POLICY
from outlast.core.session import SessionKey
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.guest_client import Endpoint
from outlastd.session_host.plan import Plan
from outlastd.session_host.ports import LaunchOrder
from outlastd.session_host.principal import Principal
from outlastd.session_host.processes.launcher import ForkingLauncher
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.strict import Strict
from outlastd.session_host.use import Use
from outlastd.stores.sqlite import SQLiteTaskStore

PLAIN = Path(__file__).parents[2] / "acceptance" / "hosting" / "guests" / "plain.py"
OPERATOR = Principal("operator", operator=True)
#: Seconds that are enough for what has to happen, on a machine that is busy.
PATIENCE = 30.0


def key(number: int = 1) -> SessionKey:
    """Return the name of a session."""
    return SessionKey("plain", f"{number:033}")


class PlainPlanner:
    """Plans the guest of the acceptance tests, which needs a socket and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        #: What a guest does before it listens (PLAIN_START).
        self.start: dict[str, Any] = {}

    async def plan(self, key: SessionKey) -> Plan:
        """Return how to run one."""
        socket, secret = self._folder / f"{next(self._numbers)}.sock", secrets.token_hex()
        environment = {"OUTLAST_FRONT_DOOR_SECRET": secret, "PLAIN_START": json.dumps(self.start)}
        lock = self._folder / f"{key.session_id}.lock"
        argv = (sys.executable, "-S", str(PLAIN), str(socket))
        order = LaunchOrder(str(key), argv, environment, Path("/"), lock)
        return Plan(order, Endpoint(socket=socket, secret=secret))

    async def clear(self, plan: Plan) -> None:
        """Remove what the guest has left."""
        assert plan.endpoint.socket is not None
        with suppress(FileNotFoundError):
            await asyncio.to_thread(plan.endpoint.socket.unlink)


class NoTasks:
    """A task manager that nobody has given a task."""

    async def lose(self, key: SessionKey, message: str) -> int:
        """Lose none."""
        return 0

    def worker_token(self, key: SessionKey) -> str:
        """Return what no one asks for."""
        return ""


class RealStage:
    """A host's sessions."""

    def __init__(self, sessions: Sessions, store: SQLiteTaskStore, planner: PlainPlanner) -> None:
        self.sessions = sessions
        self.store = store.sessions
        self.planner = planner

    async def ask(self, number: int = 1, **payload: Any) -> dict[str, Any]:
        """Invoke the agent of a session and return its answer."""
        async with await self.sessions.use(key(number), OPERATOR) as use:
            return await invoke(use, **payload)


async def invoke(use: Use, **payload: Any) -> dict[str, Any]:
    """Invoke the agent of a session in use, and return its answer."""
    async with use.guest.request("POST", "/invocations", data=json.dumps(payload).encode()) as response:
        answer: dict[str, Any] = await response.json()
        return answer


@asynccontextmanager
async def real_stage(folder: Path, *, pinged_every: float = 0.05, **agent: Any) -> AsyncIterator[RealStage]:
    """Open a host of one agent on a store in ``folder``, and close it."""
    config = HostConfig(
        agents={"plain": AgentConfig(command=("plain",), **{"stop_grace": 5.0} | agent)},
        ping_interval=pinged_every,
        ping_timeout=2,
    )
    store = await SQLiteTaskStore.open(folder / "host.db", DEFAULT_POLICY)
    launcher, planner = ForkingLauncher(), PlainPlanner(folder)
    sessions = Sessions(config, store.sessions, launcher, planner, NoTasks(), Strict(False), host="host")
    try:
        await sessions.open()
        yield RealStage(sessions, store, planner)
    finally:
        await sessions.close(0)
        await launcher.close()
        await store.close()


def lives(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
