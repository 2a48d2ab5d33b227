"""The task manager's gRPC servers: one for people and programs on TCP, one for workers on a Unix socket, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from outlast.core.event import Change, EventKind
from outlast.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from outlast.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server
from outlastd.stores.port import TaskStore
from outlastd.task_manager.auth import Access, TokenInterceptor, check_exposure
from outlastd.task_manager.dispatcher import Dispatcher
from outlastd.task_manager.listening import bind, bind_socket, resolve
from outlastd.task_manager.notifier import Notifier
from outlastd.task_manager.projection import Projector, TelemetryProjector, project
from outlastd.task_manager.recovery import Recovery
from outlastd.task_manager.task_servicer import TaskServicer
from outlastd.task_manager.tasks import Tasks
from outlastd.task_manager.worker_servicer import WorkerServicer
from outlastd.task_manager.workers import Workers

TASK_SERVICE = "outlast.v1.TaskService"
WORKER_SERVICE = "outlast.v1.WorkerService"

#: Bytes of a request at the most: people's, and a batch of workers' operations with large results.
MAX_REQUEST, MAX_BATCH = 4 * 1024 * 1024, 64 * 1024 * 1024

_OPTIONS = [
    ("grpc.so_reuseport", 0),  # by default two processes bind one port without an error
    ("grpc.max_send_message_length", MAX_BATCH),
    ("grpc.max_concurrent_streams", 4_096),
    # Worker streams and watches live for days: find out when the other side is gone, and let it ask too.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the task manager listens, and for whom."""

    #: ``host:port``; port 0 for any.
    listen: str = "127.0.0.1:50051"
    #: Whether the next free port will do when that one is taken.
    search: bool = False
    #: A Unix socket. With it WorkerService is served there and nowhere else; without it, on ``listen``.
    socket_path: Path | None = None
    #: Whose task a CreateTask without an agent is; empty where several agents are served.
    agent: str = ""
    access: Access = field(default_factory=Access)


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses that were bound, as gRPC clients write them."""

    #: ``host:port``.
    public: str
    #: ``unix:PATH``; empty without a socket.
    private: str


class TaskManagerServer:
    """Serves one store. Everything runs on the loop that starts it; the store stays its owner's to close."""

    def __init__(self, store: TaskStore, settings: ServerSettings, projector: Projector | None = None) -> None:
        self._settings = settings
        self._projector = projector or TelemetryProjector()
        self._notifier = Notifier()
        workers = Workers()
        self._dispatcher = Dispatcher(store, workers)
        self._recovery = Recovery(store, self._publish)
        self._task_servicer = TaskServicer(Tasks(store, workers, self._notifier, self._publish), settings.agent)
        self._worker_servicer = WorkerServicer(store, workers, self._dispatcher, self._publish)
        self._healths: list[health.aio.HealthServicer] = []
        self._servers: list[grpc.aio.Server] = []
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> Bound:
        """Settle what dead workers left, bind and serve.

        Raises:
            StartRefused: an address cannot be had, or may not be served without a token.
        """
        settings = self._settings
        endpoint = await resolve(settings.listen)
        workers_on_tcp = settings.socket_path is None
        if not endpoint.loopback:
            check_exposure(settings.listen, settings.access, workers=workers_on_tcp)
        await self._recovery.look()
        try:
            public = await self._make_server(workers=workers_on_tcp, access=settings.access)
            endpoint = await bind(public, endpoint, settings.access, search=settings.search)
            if settings.socket_path is not None:
                private = await self._make_server(workers=True, access=Access())
                await bind_socket(private, settings.socket_path)
            for server in self._servers:
                await server.start()
        except BaseException:
            await self.stop(0)
            raise
        self._running = [
            asyncio.create_task(self._dispatcher.run(), name="outlast dispatcher"),
            asyncio.create_task(self._recovery.run(), name="outlast recovery"),
        ]
        return Bound(str(endpoint), f"unix:{settings.socket_path}" if settings.socket_path else "")

    async def stop(self, grace: float) -> None:
        """Stop serving; calls under way get ``grace`` seconds, waits, watches and workers' streams end at once.

        When this returns, everything that workers brought is committed.
        """
        self._notifier.close()
        self._worker_servicer.stop()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for servicer in self._healths:
            await servicer.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(grace) for server in self._servers))
        await self._worker_servicer.committed()

    def _publish(self, changes: Iterable[Change]) -> None:
        """Show changes that are durable, and wake whoever waits for them."""
        for change in changes:
            project(change, self._projector)
            self._notifier.wake(change.task.task_id)
            if change.event.kind is EventKind.STATE_CHANGED:
                self._dispatcher.note(change.task)

    async def _make_server(self, *, workers: bool, access: Access) -> grpc.aio.Server:
        size = ("grpc.max_receive_message_length", MAX_BATCH if workers else MAX_REQUEST)
        server = grpc.aio.server(interceptors=[TokenInterceptor(access)], options=[*_OPTIONS, size])
        self._servers.append(server)
        services = [TASK_SERVICE, WORKER_SERVICE] if workers else [TASK_SERVICE]
        add_TaskServiceServicer_to_server(self._task_servicer, server)
        if workers:
            add_WorkerServiceServicer_to_server(self._worker_servicer, server)
        servicer = health.aio.HealthServicer()  # serving as a whole from the first moment
        for service in services:
            await servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        self._healths.append(servicer)
        reflection.enable_server_reflection([*services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        return server
