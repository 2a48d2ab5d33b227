"""WorkerService over gRPC: lets a worker in, and serves its stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.rpc import code_pb2

from outlast.core.errors import InvalidField, TaskManagerUnavailable
from outlast.core.state import StateReason, TaskState
from outlast.core.validation import MAX_ID, MAX_NAME, check_text
from outlast.core.worker import Worker
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceServicer
from outlast.wire.errors import make_status
from outlastd.stores.port import Position, TaskFilter, TaskStore
from outlastd.task_manager.answering import Context, abort, answering
from outlastd.task_manager.dispatcher import Dispatcher
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.worker_stream import StreamReplaced, WorkerStream
from outlastd.task_manager.workers import Workers

#: Task types that one worker may register.
MAX_TASK_TYPES = 1_000
#: Characters of a lock file's path.
MAX_PATH = 4_096
#: Seconds in which a stream has to say hello.
HELLO_SECONDS = 10
#: Tasks that are read at a time to find the requests to cancel that a worker has missed.
_CANCELS_STEP = 500


class WorkerServicer(WorkerServiceServicer):
    """Keeps one stream for each worker; a newer one takes over from the older."""

    def __init__(self, store: TaskStore, workers: Workers, dispatcher: Dispatcher, publish: Publish) -> None:
        self._store = store
        self._workers = workers
        self._dispatcher = dispatcher
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
            hello = await _hello(request_iterator)
            stream = WorkerStream(hello, self._store, self._publish, self._committing)
            try:
                worker = await self._enter(stream, hello.lock_path)
                await context.write(pb.ConnectResponse(welcome=_welcome(worker)))
                await self._serve(stream, worker, request_iterator, context)
            except StreamReplaced:
                message = f"a newer stream of worker {stream.worker_id} has taken over"
                await abort(context, make_status(code_pb2.ABORTED, message, "STREAM_REPLACED"))
            finally:
                self._leave(stream)

    def stop(self) -> None:
        """End every stream, those to come too, with TaskManagerUnavailable."""
        self._stopping = True
        for stream in self._streams.values():
            stream.end(TaskManagerUnavailable("the task manager is stopping"))

    async def committed(self) -> None:
        """Return when nothing that the streams have brought is still being committed."""
        while self._committing:
            await asyncio.wait(self._committing)

    async def _enter(self, stream: WorkerStream, lock_path: str) -> Worker:
        """Make a stream the one of its worker. The older one has brought what it will bring when this returns."""
        if self._stopping:
            raise TaskManagerUnavailable("the task manager is stopping")
        older = self._streams.get(stream.worker_id)
        self._streams[stream.worker_id] = stream
        if older is not None:
            self._workers.remove(older)
            await older.replace()
        return await self._store.register_worker(stream.worker_id, stream.agent, lock_path)

    async def _serve(
        self, stream: WorkerStream, worker: Worker, requests: AsyncIterator[pb.ConnectRequest], context: Context
    ) -> None:
        if self._streams.get(stream.worker_id) is stream:
            self._workers.add(stream)
            self._dispatcher.wake(stream.agent)
        if worker.applied_sequence:  # it was connected before: somebody may have asked to cancel meanwhile
            await self._tell_cancels(stream)
        await stream.serve(requests, context.write)

    async def _tell_cancels(self, stream: WorkerStream) -> None:
        which = TaskFilter(states=frozenset({TaskState.WORKING}), agent=stream.agent)
        after: Position | None = None
        while tasks := await self._store.list(which, _CANCELS_STEP, after):
            for task in tasks:
                if task.worker_id == stream.worker_id and task.cancel_requested_at is not None:
                    stream.cancel(task.task_id, StateReason.CANCEL_REQUESTED)
                assert task.created_at is not None, "a stored task has its create time"
                after = Position(task.created_at, task.task_id)

    def _leave(self, stream: WorkerStream) -> None:
        if self._streams.get(stream.worker_id) is stream:
            del self._streams[stream.worker_id]
        self._workers.remove(stream)
        self._dispatcher.wake(stream.agent)


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
    if len(hello.task_types) > MAX_TASK_TYPES:
        raise InvalidField("hello.task_types", f"has {len(hello.task_types):,} entries, over {MAX_TASK_TYPES:,}")
    for task_type in hello.task_types:
        check_text("hello.task_types", task_type, MAX_NAME, required=True)
    return hello


def _welcome(worker: Worker) -> pb.Welcome:
    return pb.Welcome(epoch=worker.epoch, worker_number=worker.number, applied_sequence=worker.applied_sequence)
