"""The stream of a worker in the task manager's own process: as over gRPC, but for the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar

import grpc.aio
import pytest

from outlast.core.errors import InvalidField, TaskManagerUnavailable
from outlast.core.operation import Operation, Output
from outlast.core.worker import Registration, Worker
from outlast.v1 import worker_service_pb2 as pb
from outlastd.stores.port import Applied, TaskStore
from outlastd.task_manager.server import MAX_BATCH, ServerSettings, TaskManagerServer
from outlastd.task_manager.worker_stream import BATCHES_IN_FLIGHT

from .speaking import DONE, START, Seen, Speaker, operation

PATIENCE = 10.0
SETTINGS = ServerSettings(listen="127.0.0.1:0")


class SlowStore:
    """A real store that commits when the test says so."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self.entered, self.go_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Apply, later."""
        self.entered.set()
        await self.go_on.wait()
        return await self._store.apply(worker_id, operations)


@pytest.fixture
async def server(store: TaskStore, seen: Seen) -> AsyncIterator[TaskManagerServer]:
    """A task manager that serves."""
    async with serving(store, seen) as server:
        yield server


@asynccontextmanager
async def serving(store: object, seen: Seen) -> AsyncIterator[TaskManagerServer]:
    """Give a task manager that serves this store."""
    server = TaskManagerServer(store, SETTINGS, seen)  # type: ignore[arg-type]
    await server.start()
    yield server
    await server.stop(0)


def speaker(server: TaskManagerServer) -> Speaker:
    """Return a worker's side of a new stream."""
    return Speaker(server.own_streams.open())


async def test_it_is_served_as_over_grpc(server: TaskManagerServer, store: TaskStore, seen: Seen) -> None:
    """Welcome, answers, refusals one by one, leases and the replay after a break are those of any worker."""
    worker = speaker(server)
    assert (await worker.hello()).applied_sequence == 0
    answers = await worker.do(operation(1, 7, START), operation(2, 7, Output(b"no JSON")), operation(3, 7, DONE))
    assert answers[1] is answers[3] is None
    assert isinstance(answers[2], InvalidField)
    assert (await worker.lease(5)).heartbeat == 5
    worker.call.cancel()

    again = speaker(server)
    assert (await again.hello()).applied_sequence == 3
    assert await again.do(operation(3, 7, DONE)) == {3: None}
    assert seen.lines == [("started", 7), ("COMPLETED", 7)]
    assert (await store.get(7)).generation == 2


async def test_a_newer_stream_takes_over(server: TaskManagerServer) -> None:
    """The older one ends ABORTED, once what it brought is committed."""
    older, newer = speaker(server), speaker(server)
    await older.hello()
    await older.send(operation(1, 7, START))
    await older.answers()
    assert (await newer.hello()).applied_sequence == 1
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await older.read()
    assert raised.value.code() == grpc.StatusCode.ABORTED
    with pytest.raises(grpc.aio.AioRpcError):
        await older.beat()


async def test_a_first_message_that_is_none_is_refused(server: TaskManagerServer) -> None:
    """The error is the one that the servicer raised, with its details."""
    worker = speaker(server)
    await worker.beat()
    assert isinstance(await worker.refusal(), InvalidField)


async def test_a_message_over_the_limit_ends_the_stream(server: TaskManagerServer) -> None:
    """As over gRPC: RESOURCE_EXHAUSTED to who writes and to who reads, and the next stream is taken."""
    worker = speaker(server)
    await worker.hello()
    with pytest.raises(grpc.aio.AioRpcError, match="larger than max") as raised:
        await worker.send(operation(1, 7, Output(b"x" * MAX_BATCH)))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
        await worker.read()
    assert (await speaker(server).hello()).applied_sequence == 0


async def test_a_message_over_the_limit_at_once(server: TaskManagerServer) -> None:
    """It ends a stream too that nobody has begun to serve."""
    worker = speaker(server)
    with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
        await worker.send(operation(1, 7, Output(b"x" * MAX_BATCH)))
    with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
        await worker.read()


async def test_a_message_over_the_limit_waits_for_no_store(store: TaskStore, seen: Seen) -> None:
    """The stream is over at once for the worker, which has a lease to look after, though the store does not answer."""
    slow = SlowStore(store)
    async with serving(slow, seen) as server:
        worker = speaker(server)
        await worker.hello()
        await worker.send(operation(1, 7, START))
        await slow.entered.wait()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
                await worker.send(operation(2, 7, Output(b"x" * MAX_BATCH)))
            with pytest.raises(grpc.aio.AioRpcError, match="larger than max"):
                await worker.read()
        slow.go_on.set()


async def test_a_slow_manager_holds_the_worker_up(store: TaskStore, seen: Seen) -> None:
    """Who writes waits once enough is on its way; everything is answered in order when the store goes on."""
    slow, sent = SlowStore(store), 0
    async with serving(slow, seen) as server:
        worker = speaker(server)
        await worker.hello()

        async def send() -> None:
            nonlocal sent
            for number in range(1, 101):
                await worker.send(operation(number, number, START))
                sent = number

        sending = asyncio.create_task(send())
        await slow.entered.wait()
        await turns()
        # One that waits for a slot, one that waits to be read.
        assert sent == BATCHES_IN_FLIGHT + 2
        slow.go_on.set()
        answered: list[int] = []
        while len(answered) < 100:
            answered += await worker.answers()
        await sending
        assert answered == list(range(1, 101))


async def test_a_stop_commits_what_was_brought_and_says_why(store: TaskStore, seen: Seen) -> None:
    """The stream ends with TaskManagerUnavailable, and so does the next one; what has arrived is in the store."""
    slow = SlowStore(store)
    async with serving(slow, seen) as server:
        worker = speaker(server)
        await worker.hello()
        await worker.send(operation(1, 7, START))
        await slow.entered.wait()
        stopping = asyncio.create_task(server.stop(PATIENCE))
        await turns()
        slow.go_on.set()
        await stopping
        for refused in (worker, await greeted(server)):
            error = await refused.refusal()
            assert isinstance(error, TaskManagerUnavailable)
            assert error.message == "the task manager is stopping"
    assert seen.lines == [("started", 7)]


async def test_a_stop_does_not_wait_for_ever(store: TaskStore, seen: Seen) -> None:
    """What serves a stream is cancelled after the grace; the end of what is being committed is waited for still."""
    slow = SlowStore(store)
    async with serving(slow, seen) as server:
        stream = server.own_streams.open()
        worker = Speaker(stream)
        await worker.hello()
        await worker.send(operation(1, 7, START))
        await slow.entered.wait()
        stopping = asyncio.create_task(server.stop(0))
        await asyncio.wait([stream.served], timeout=PATIENCE)
        assert stream.served.done()
        assert not stopping.done()
        slow.go_on.set()
        await stopping
    assert seen.lines == [("started", 7)]


async def test_a_broken_stream_leaves_nothing_behind(store: TaskStore, seen: Seen) -> None:
    """When the worker hangs up, what was read is committed, and what waits on either side ends."""
    slow = SlowStore(store)
    async with serving(slow, seen) as server:
        stream = server.own_streams.open()
        worker = Speaker(stream)
        await worker.hello()
        await worker.send(operation(1, 7, START))
        await slow.entered.wait()
        reading = asyncio.create_task(stream.read())
        await turns()
        assert stream.cancel()
        slow.go_on.set()
        async with asyncio.timeout(PATIENCE):
            assert await reading is grpc.aio.EOF
            with pytest.raises(asyncio.InvalidStateError):
                await worker.beat()
        assert not stream.cancel()
        assert (await speaker(server).hello()).applied_sequence == 1


async def test_a_stream_that_is_given_up_at_once_ends(server: TaskManagerServer) -> None:
    """It ends though nobody has begun to serve it."""
    stream = server.own_streams.open()
    stream.cancel()
    async with asyncio.timeout(PATIENCE):
        assert await stream.read() is grpc.aio.EOF


async def test_a_bug_is_internal(store: TaskStore, seen: Seen) -> None:
    """What is no error of ours ends the stream with INTERNAL, not silently."""

    class BrokenStore(SlowStore):
        async def register_worker(self, registration: Registration) -> Worker:
            raise KeyError(registration.worker_id)

    async with serving(BrokenStore(store), seen) as server:
        worker = await greeted(server)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await worker.read()
    assert raised.value.code() == grpc.StatusCode.INTERNAL


async def test_neither_end_sees_what_the_other_changes(server: TaskManagerServer) -> None:
    """A message is what it was when it was sent."""
    stream = server.own_streams.open()
    hello = pb.ConnectRequest(hello=pb.Hello(worker_id="worker-1", agent="agent"))
    await stream.write(hello)
    hello.hello.agent = ""
    assert isinstance(await stream.read(), pb.ConnectResponse)


async def test_it_is_served_in_a_context_of_its_own(store: TaskStore, seen: Seen) -> None:
    """Context variables of whoever opens it are not the task manager's."""
    variable = ContextVar("variable", default="nothing")
    found: list[str] = []

    class LookingStore(SlowStore):
        async def register_worker(self, registration: Registration) -> Worker:
            found.append(variable.get())
            return await store.register_worker(registration)

    async with serving(LookingStore(store), seen) as server:
        variable.set("the opener's")
        await speaker(server).hello()
    assert found == ["nothing"]


async def greeted(server: TaskManagerServer) -> Speaker:
    """Return a worker that has said hello and heard nothing yet."""
    worker = speaker(server)
    await worker.call.write(pb.ConnectRequest(hello=pb.Hello(worker_id="worker-1", agent="agent")))
    return worker


async def turns() -> None:
    """Let everything go as far as it can: nothing here waits for more than the loop."""
    for _ in range(1_000):
        await asyncio.sleep(0)
