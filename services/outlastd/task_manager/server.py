"""The task manager's gRPC servers: one for people and programs on TCP, one for workers on a Unix socket, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from outlast.core.event import Change, EventKind
from outlast.core.session import SessionKey
from outlast.core.value import value
from outlast.telemetry.log import get_logger
from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.task_metrics import TaskMetrics
from outlast.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from outlast.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server
from outlastd.stores.port import TaskStore
from outlastd.task_manager.auth import Access, TokenInterceptor, check_exposure
from outlastd.task_manager.census import TaskCensus
from outlastd.task_manager.commander import Commander
from outlastd.task_manager.dispatcher import Dispatcher
from outlastd.task_manager.hints import HintListener
from outlastd.task_manager.housekeeping import Housekeeping
from outlastd.task_manager.listening import bind, bind_socket, resolve
from outlastd.task_manager.notifier import Notifier
from outlastd.task_manager.outbox import SpanOutbox
from outlastd.task_manager.own_stream import OwnStreams
from outlastd.task_manager.projection import Projector, TelemetryProjector, count, show
from outlastd.task_manager.reaper import Reaper
from outlastd.task_manager.recovery import Recovery
from outlastd.task_manager.renewals import Renewals
from outlastd.task_manager.session_hints import SessionHints
from outlastd.task_manager.started_spans import StartedSpans
from outlastd.task_manager.task_servicer import TaskServicer
from outlastd.task_manager.tasks import Tasks
from outlastd.task_manager.watch_metrics import WatchMetrics
from outlastd.task_manager.watching import Watching
from outlastd.task_manager.worker_metrics import WorkerMetrics
from outlastd.task_manager.worker_servicer import WorkerServicer
from outlastd.task_manager.workers import Workers

TASK_SERVICE = "outlast.v1.TaskService"
WORKER_SERVICE = "outlast.v1.WorkerService"

#: Bytes of a request at the most: people's, and a batch of workers' operations with large results.
MAX_REQUEST, MAX_BATCH = 4 * 1024 * 1024, 64 * 1024 * 1024

#: Seconds that the store gets for what workers have brought. What it does not take they bring to whoever serves next.
COMMIT_GRACE = 3.0

#: Seconds before a loop that a bug has ended begins again.
RESTART_SECONDS = 1.0

Run = Callable[[], Coroutine[Any, Any, None]]

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


@value(frozen=True, slots=True)
class ServerSettings:
    """Where the task manager listens, and for whom."""

    #: ``host:port``; port 0 for any.
    listen: str = "127.0.0.1:50051"
    #: Whether the next free port will do when that one is taken.
    search: bool = False
    #: A Unix socket. With it WorkerService is served there and nowhere else; without it, on ``listen``.
    socket_path: Path | None = None
    #: What is wanted there. With tokens any user of this machine may open it, without them only this one.
    socket_access: Access = field(default_factory=Access)
    #: Whose task a CreateTask without an agent is; empty where several agents are served.
    agent: str = ""
    #: The worker of this very process, whose lease is never taken here; empty where there is none.
    own_worker: str = ""
    access: Access = field(default_factory=Access)


@value(frozen=True, slots=True)
class Bound:
    """The addresses that were bound, as gRPC clients write them."""

    #: ``host:port``.
    public: str
    #: ``unix:PATH``; empty without a socket.
    private: str


class TaskManagerServer:
    """Serves one store. Everything runs on the loop that starts it; the store stays its owner's to close."""

    def __init__(
        self,
        store: TaskStore,
        settings: ServerSettings,
        projector: Projector | None = None,
        outbox: SpanOutbox | None = None,
    ) -> None:
        """``outbox`` exports the spans of ended tasks, where spans are exported at all; its owner flushes it."""
        self._store = store
        self._settings = settings
        self._projector = projector or TelemetryProjector()
        self._outbox = outbox
        self._metering = metering.active()
        self._metrics = TaskMetrics(self._metering.meter) if self._metering is not None else None
        self._started_spans = StartedSpans() if outbox is not None else None
        self._notifier = Notifier()
        self._workers = Workers()
        self._dispatcher = Dispatcher(store, self._workers, self._publish)
        self._commander = Commander(store, self._workers)
        spare = frozenset({settings.own_worker} if settings.own_worker else ())
        self._reaper = Reaper(store, self._publish, spare=spare)
        self._recovery = Recovery(store, self._publish)
        tasks = Tasks(store, self._notifier, self._publish)
        watches = WatchMetrics(self._metering.meter if self._metering is not None else None)
        watching = Watching(store, self._notifier, watches)
        self._task_servicer = TaskServicer(tasks, watching, settings.agent)
        renewals = Renewals(store, self._reaper.deafened)
        self._worker_servicer = WorkerServicer(store, self._workers, renewals, self._publish)
        #: The way in for the worker of this very process, which has shown who it is by being here.
        self.own_streams = OwnStreams(self._worker_servicer, MAX_BATCH)
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
        await self._recovery.look_if_possible()
        try:
            public = await self._make_server(workers=workers_on_tcp, access=settings.access)
            endpoint = await bind(public, endpoint, settings.access, search=settings.search)
            if settings.socket_path is not None:
                private = await self._make_server(workers=True, access=settings.socket_access)
                await bind_socket(private, settings.socket_path, settings.socket_access)
            for server in self._servers:
                await server.start()
        except BaseException:
            await self.stop(0)
            raise
        self._running = [asyncio.create_task(_keep(name, run), name=f"outlast {name}") for name, run in self._loops()]
        return Bound(str(endpoint), f"unix:{settings.socket_path}" if settings.socket_path else "")

    async def stop(self, grace: float) -> None:
        """Stop serving; calls under way get ``grace`` seconds, waits, watches and workers' streams end at once.

        When this returns, everything that workers brought is committed; or the store has not answered for so long that
        they had better bring it to another task manager.
        """
        self._notifier.close()
        self._worker_servicer.stop()
        for task in self._running:
            task.cancel()
        if self._running:  # one that waits for a store that does not answer is left behind
            await asyncio.wait(self._running, timeout=COMMIT_GRACE)
        for servicer in self._healths:
            await servicer.enter_graceful_shutdown()
        await asyncio.gather(self.own_streams.stop(grace), *(server.stop(grace) for server in self._servers))
        await self._worker_servicer.committed(COMMIT_GRACE)

    async def lose_session(self, key: SessionKey, message: str) -> int:
        """Take what the workers of a session hold, which are gone (Recovery.lose_session)."""
        return await self._recovery.lose_session(key, message)

    def _loops(self) -> Iterator[tuple[str, Run]]:
        """Give what runs beside the calls, until it is cancelled."""
        session_hints = SessionHints(self._store, self._notifier)
        listeners = (self._notifier.hint, self._dispatcher.hint, self._commander.hint)
        yield "dispatcher", self._dispatcher.run
        yield "commander", self._commander.run
        yield "reaper", self._reaper.run
        yield "recovery", self._recovery.run
        expired = self._metrics.expired if self._metrics is not None else None
        yield "housekeeping", Housekeeping(self._store, self._publish, expired).run
        yield "hints", HintListener(self._store, session_hints, *listeners).run
        if self._outbox is not None:
            yield "span outbox", self._outbox.run
        if self._metering is not None:
            yield "census", TaskCensus(self._store, self._metering, self._settings.agent).run
            yield "worker metrics", WorkerMetrics(self._workers, self._metering).run
        if self._started_spans is not None:
            yield "started spans", self._started_spans.run

    def _publish(self, changes: Iterable[Change]) -> None:
        """Show changes that are durable, and wake whoever waits for them, here and elsewhere."""
        changes = tuple(changes)
        if self._metrics is not None:
            count(changes, self._metrics)
        show(changes, self._projector)
        ended: list[Change] = []
        listened = self._notifier.listening
        for change in changes:
            task, kind = change.task, change.event.kind
            if listened:
                self._notifier.note(task, change.event)
            if kind is EventKind.STATE_CHANGED:
                self._dispatcher.note(task)
                if self._started_spans is not None:
                    self._started_spans.note(change)
                if change.event.state.terminal:
                    ended.append(change)
                    self._workers.follow(task)
            elif kind is EventKind.CANCEL_REQUESTED:
                self._workers.follow(task)
        if ended and self._outbox is not None:
            self._outbox.note(ended)
        if changes:
            self._store.announce({change.task.task_id for change in changes})

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


async def _keep(name: str, run: Run) -> None:
    """Run a loop until cancelled; what ends it otherwise is a bug, and must not end it for good."""
    while True:
        try:
            await run()
        except Exception as error:
            get_logger().error("task manager loop failed", loop=name, error=error)
        await asyncio.sleep(RESTART_SECONDS)
