"""What is struck: agents, task managers and their store, with proxies on all ways between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from ...postgres_server import PostgresServer
from ..agent_process import PROGRAMS, Agent, OutlastProcess
from .database import Database
from .history import History
from .member import Member
from .proxy import Proxy

#: Two agents and two replicas.
TWO = range(2)
#: Seconds that a lease holds.
LEASE = 1.0

_COMMON = {
    "OUTLAST_LEASE_TTL": str(LEASE),
    "OUTLAST_SHUTDOWN_GRACE": "0.5",
    "OUTLAST_CANCEL_GRACE": "0.5",
    "OUTLAST_ACK_TIMEOUT": "3",
    "OUTLAST_HOST": "127.0.0.1",
    "OUTLAST_PORT": "0",
    "OUTLAST_AGENT": "matrix",
}


class Struck(Protocol):
    """What a fault happens to."""

    name: str

    async def start(self) -> None:
        """Start it again after it has ended."""

    async def kill(self) -> None:
        """End it at once."""

    async def stop(self) -> None:
        """End it in order."""

    def pause(self) -> None:
        """Stop it where it is."""

    def resume(self) -> None:
        """Let it go on."""


class Cluster:
    """Agents, the managers apart (none where the agents embed theirs), and every way between them."""

    def __init__(self, folder: Path, history: History) -> None:
        self.folder = folder
        self.history = history
        self.agents: list[Member] = []
        self.managers: list[Member] = []
        self.database: Database | None = None
        #: To the front door of each agent; to each TaskService.
        self.front_doors: list[Proxy] = []
        self.task_services: list[Proxy] = []
        #: From an agent to a manager, and from a manager to the database.
        self.worker_ways: dict[tuple[int, int], Proxy] = {}
        self.database_ways: list[Proxy] = []

    @property
    def members(self) -> list[Member]:
        """Every process that is ours."""
        return [*self.managers, *self.agents]

    @property
    def proxies(self) -> list[Proxy]:
        """Every place where something can be held or cut."""
        return [*self.front_doors, *self.task_services, *self.worker_ways.values(), *self.database_ways]

    async def close(self) -> None:
        """End every process that was started."""
        for proxy in self.proxies:
            proxy.heal()
        if self.database is not None:
            self.database.resume()
        for member in self.members:
            if member.processes:
                member.resume()
                await member.kill()
        for proxy in self.proxies:
            await proxy.close()

    @contextmanager
    def locked_store(self) -> Iterator[None]:
        """Keep every writer out of the SQLite file."""
        with closing(sqlite3.connect(self.folder / "tasks.db", timeout=5, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    async def _proxy(self, name: str) -> Proxy:
        proxy = Proxy(name)
        await proxy.start()
        return proxy

    def _agent(self, environment: dict[str, str]) -> OutlastProcess:
        arguments = ["-m", "outlast.cli", "run", str(PROGRAMS / "matrix.py")]
        return Agent(arguments, {**_COMMON, "HISTORY_FILE": str(self.history.path), **environment}, self.folder)

    def _manager(self, store: str) -> OutlastProcess:
        arguments = ["-m", "outlast.cli", "task-manager", "--listen", "127.0.0.1:0", "--store", store]
        return OutlastProcess(arguments, _COMMON, self.folder)


async def embedded(folder: Path, history: History, agents: int = 2) -> Cluster:
    """Start agents with embedded task managers on one SQLite file."""
    cluster = Cluster(folder, history)
    store = {"OUTLAST_STORE": f"sqlite:///{folder}/tasks.db", "OUTLAST_TASK_MANAGER_LISTEN": "127.0.0.1:0"}
    for number in range(agents):
        door = await cluster._proxy(f"front door {number}")
        service = await cluster._proxy(f"task service {number}")
        cluster.front_doors.append(door)
        cluster.task_services.append(service)
        serves = {"address": [door], "taskManager": [service]}
        cluster.agents.append(Member(f"agent {number}", history, lambda: cluster._agent(store), serves))
    # One after the other: the first makes the file.
    for member in cluster.agents:
        await member.start()
    return cluster


async def replicated(folder: Path, history: History, server: PostgresServer) -> Cluster:
    """Start two agents and two replicas of the task manager on one PostgreSQL, which is the cluster's alone."""
    cluster = Cluster(folder, history)
    cluster.database = Database(server)
    name = await asyncio.to_thread(server.create_database)
    for replica in TWO:
        way = await cluster._proxy(f"replica {replica} to the database")
        way.server = f"127.0.0.1:{server.port}"
        cluster.database_ways.append(way)
        service = await cluster._proxy(f"task service {replica}")
        cluster.task_services.append(service)
        for agent in TWO:
            cluster.worker_ways[agent, replica] = await cluster._proxy(f"agent {agent} to replica {replica}")
        serves = {"address": [service, *(cluster.worker_ways[agent, replica] for agent in TWO)]}
        store = f"postgresql://postgres@{way.address}/{name}"
        cluster.managers.append(
            Member(f"replica {replica}", history, lambda store=store: cluster._manager(store), serves)  # type: ignore[misc]
        )
    for agent in TWO:
        door = await cluster._proxy(f"front door {agent}")
        cluster.front_doors.append(door)
        # Each prefers another replica.
        order = [cluster.worker_ways[agent, replica].address for replica in (agent, 1 - agent)]
        there = {"OUTLAST_TASK_MANAGER": ",".join(order)}
        cluster.agents.append(
            Member(f"agent {agent}", history, lambda there=there: cluster._agent(there), {"address": [door]})  # type: ignore[misc]
        )
    await asyncio.gather(*(member.start() for member in cluster.managers))
    await asyncio.gather(*(member.start() for member in cluster.agents))
    return cluster
