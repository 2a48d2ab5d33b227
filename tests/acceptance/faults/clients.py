"""How the clients of a cluster ask: an HTTP session and gRPC channels that live through faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import grpc.aio

from outlast.v1.task_service_pb2_grpc import TaskServiceStub

from .cluster import Cluster
from .history import History

R = TypeVar("R")
#: Seconds that a question may take, and between two tries.
TIMEOUT = 5.0
PAUSE = 0.1

#: A channel comes back soon after a fault, and not after minutes.
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)


class Clients:
    """What all clients of a cluster share. Use as an async context manager."""

    def __init__(self, cluster: Cluster, history: History, seed: int) -> None:
        self.history = history
        self.seed = seed
        self.front_doors = [f"http://{proxy.address}" for proxy in cluster.front_doors]
        self._channels = [grpc.aio.insecure_channel(proxy.address, _CHANNEL) for proxy in cluster.task_services]
        self.services = [TaskServiceStub(channel) for channel in self._channels]
        self.http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT))
        self._calls = 0

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        for channel in self._channels:
            await channel.close()

    def choice(self, name: str) -> random.Random:
        """Return the random choices of one client: the same for the same seed and name."""
        return random.Random(f"{self.seed} {name}")

    def call(self, name: str) -> str:
        """Return a name for one call, that no other has."""
        self._calls += 1
        return f"{name} {self._calls}"

    async def insist(self, ask: Callable[[TaskServiceStub], Awaitable[R]]) -> R:
        """Ask one TaskService after the other until one answers; refusals pass."""
        number = 0
        while True:
            try:
                return await ask(self.services[number % len(self.services)])
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise
            number += 1
            await asyncio.sleep(PAUSE)


#: What a call may end with when somebody in the middle is struck: asking again is right.
PASSING = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.ABORTED}
)
