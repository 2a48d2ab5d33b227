"""WorkerService over gRPC: lets a worker in, and serves its stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from google.rpc import code_pb2

from outlast.core.errors import ErrorCode, InvalidField, TaskManagerUnavailable
from outlast.core.event import Change
from outlast.core.validation import MAX_ID, MAX_NAME, check_text
from outlast.core.worker import Registration, Worker
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceServicer
from outlast.wire.errors import make_status
from outlast.wire.times import duration_to_proto
from outlastd.stores.port import TaskStore
from outlastd.task_manager.answering import Context, abort, answering
from outlastd.task_manager.auth import scope_of_call
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.renewals import Renewals
from outlastd.task_manager.scope import Scope
from outlastd.task_manager.worker_stream import LeaseTaken, StreamReplaced, WorkerStream
from outlastd.task_manager.workers import ConnectedWorker, Workers

#: Task types that one worker may register.
MAX_TASK_TYPES = 1_000
#: Characters of a lock file's path.
MAX_PATH = 4_096
#: Seconds in which a stream has to say hello.
HELLO_SECONDS = 10


class WorkerServicer(WorkerServiceServicer):
    """Keeps one stream for each worker; a newer one takes over from the older."""

    def __init__(self, store: TaskStore, workers: Workers, renewals: Renewals, publish: Publish) -> None:
        self._store = store
        self._workers = workers
        self._renewals = renewals
        self._publish = publish
        self._streams: dict[str, WorkerStream] = {}
        self._committing: set[asyncio.Task[None]] = set()
        self._stopping = False

    # A coroutine and not a generator: what a broken call leaves suspended has to end at once.
    async def Connect(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> None:
        """Serve the worker's one stream."""
        async with answering(context):
            hello, scope = await _hello(request_iterator), scope_of_call()
            registration = scope.admit(_registration(hello))
            stream = self._make_stream(registration.worker_id, scope)
            connected: ConnectedWorker | None = None
            try:
                connected = await self._enter(stream, registration, hello.max_tasks)
                await context.write(pb.ConnectResponse(welcome=self._welcome(connected.worker)))
                await stream.serve(request_iterator, context.write)
            except StreamReplaced:
                message = f"a newer stream of worker {stream.worker_id} has taken over"
                await abort(context, make_status(code_pb2.ABORTED, message, "STREAM_REPLACED"))
            except LeaseTaken:
                message = f"worker {stream.worker_id} has lost its lease, epoch {stream.epoch}"
                await abort(context, make_status(code_pb2.ABORTED, message, ErrorCode.LEASE_LOST))
            finally:
                self._leave(stream, connected)

    def stop(self) -> None:
        """End every stream, those to come too, with TaskManagerUnavailable."""
        self._stopping = True
        for stream in self._streams.values():
            stream.end(TaskManagerUnavailable("the task manager is stopping"))

    async def committed(self, timeout: float) -> None:
        """Return when nothing that the streams have brought is still being committed, or after ``timeout`` seconds."""
        if self._committing:
            await asyncio.wait(self._committing, timeout=timeout)

    def _make_stream(self, worker_id: str, scope: Scope) -> WorkerStream:
        def publish(changes: Iterable[Change]) -> None:
            # First the worker's own account: what it has done itself it need not be told.
            done = tuple(changes)
            self._workers.note(worker_id, done)
            self._publish(done)

        def heard(draining: bool) -> None:
            if (worker := self._workers.get(worker_id)) is not None:
                worker.hear(draining)

        return WorkerStream(worker_id, self._store, self._renewals, publish, self._committing, heard, scope)

    async def _enter(self, stream: WorkerStream, registration: Registration, max_tasks: int) -> ConnectedWorker:
        """Make a stream the one of its worker, with what the worker has to be told first already on its way.

        The older one has brought what it will bring when this returns.
        """
        if self._stopping:
            raise TaskManagerUnavailable("the task manager is stopping")
        older = self._streams.get(stream.worker_id)
        self._streams[stream.worker_id] = stream
        if older is not None:
            if (known := self._workers.get(stream.worker_id)) is not None:
                self._workers.remove(known)
            await older.replace()
        worker = await self._store.register_worker(registration)
        stream.epoch = worker.epoch
        held = await self._store.held(worker.worker_id, full=True)
        connected = ConnectedWorker(worker, max_tasks, stream, held)
        if self._streams.get(stream.worker_id) is stream:
            self._workers.add(connected)
        return connected

    def _leave(self, stream: WorkerStream, connected: ConnectedWorker | None) -> None:
        if self._streams.get(stream.worker_id) is stream:
            del self._streams[stream.worker_id]
        if connected is not None:
            self._workers.remove(connected)

    def _welcome(self, worker: Worker) -> pb.Welcome:
        return pb.Welcome(
            epoch=worker.epoch,
            worker_number=worker.number,
            applied_sequence=worker.applied_sequence,
            lost_sequence=worker.lost_sequence,
            lease_ttl=duration_to_proto(self._store.policy.lease_ttl),
        )


async def _hello(requests: AsyncIterator[pb.ConnectRequest]) -> pb.Hello:
    """Return a stream's first message."""
    request = None
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            request = await anext(requests, None)
    except TimeoutError:
        raise InvalidField("hello", f"did not come within {HELLO_SECONDS} s") from None
    if request is None or request.WhichOneof("message") != "hello":
        raise InvalidField("hello", "is missing: it has to come first")
    hello = request.hello
    check_text("hello.worker_id", hello.worker_id, MAX_NAME, required=True)
    check_text("hello.agent", hello.agent, MAX_NAME, required=True)
    check_text("hello.session_id", hello.session_id, MAX_ID)
    check_text("hello.lock_path", hello.lock_path, MAX_PATH)
    if hello.max_tasks < 0:
        raise InvalidField("hello.max_tasks", f"{hello.max_tasks} is negative")
    if len(hello.task_types) > MAX_TASK_TYPES:
        raise InvalidField("hello.task_types", f"has {len(hello.task_types):,} entries, over {MAX_TASK_TYPES:,}")
    for task_type in hello.task_types:
        check_text("hello.task_types", task_type, MAX_NAME, required=True)
    return hello


def _registration(hello: pb.Hello) -> Registration:
    return Registration(
        worker_id=hello.worker_id,
        agent=hello.agent,
        task_types=frozenset(hello.task_types),
        session_id=hello.session_id,
        lock_path=hello.lock_path,
        draining=hello.draining,
    )
