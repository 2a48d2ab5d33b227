"""Two task managers on one PostgreSQL: whichever a worker, a caller or a watcher speaks to, it is one system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from outlast.core.errors import LeaseLost
from outlast.core.operation import Output, Start
from outlast.core.policy import Policy
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import (
    CancelTaskRequest,
    CreateTaskRequest,
    GetTaskRequest,
    WaitTaskRequest,
    WatchSessionRequest,
    WatchTaskRequest,
)
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.stores.postgres import PostgresTaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from ...postgres_server import PostgresServer
from .speaking import DONE, START, Seen, connected, operation

#: Long enough for a busy machine, short enough for a test that waits for its end.
LEASE = timedelta(seconds=2)


@dataclass(frozen=True)
class Replica:
    """One task manager, and the way to it."""

    store: TaskStore
    channel: grpc.aio.Channel
    tasks: TaskServiceStub


@pytest.fixture
async def replicas(postgres_url: str, seen: Seen) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas on one database; what both have shown is in ``seen``."""
    async with AsyncExitStack() as stack:

        async def start() -> Replica:
            store = await PostgresTaskStore.open(postgres_url, Policy(lease_ttl=LEASE))
            stack.push_async_callback(store.close)
            server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"), seen)
            bound = await server.start()
            stack.push_async_callback(server.stop, 0)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(bound.public))
            return Replica(store, channel, TaskServiceStub(channel))

        yield await start(), await start()


def creation(**fields: object) -> CreateTaskRequest:
    """Return a request to submit a task."""
    return CreateTaskRequest(**{"agent": "agent", "task_type": "research", "input": "{}", **fields})  # type: ignore[arg-type]


async def test_each_task_is_claimed_by_one(replicas: tuple[Replica, Replica], seen: Seen) -> None:
    """Tasks that are created at both replicas are given to the workers of both, each once, whoever is quicker."""
    one, two = replicas
    async with connected(one.channel) as first, connected(two.channel) as second:
        await first.hello("worker-1", "research", max_tasks=20)
        await second.hello("worker-2", "research", max_tasks=20)
        created = await asyncio.gather(*(replica.tasks.CreateTask(creation()) for replica in replicas * 20))
        given = [[(await worker.given()).task_id for _ in range(20)] for worker in (first, second)]
    assert sorted(given[0] + given[1]) == sorted(task.task_id for task in created)
    assert sorted(task_id for line, task_id in seen.lines if line == "started") == sorted(given[0] + given[1])


async def test_a_task_goes_to_a_worker_of_the_other_replica(replicas: tuple[Replica, Replica]) -> None:
    """Created here, it is given there, and its end is seen here."""
    one, two = replicas
    async with connected(two.channel) as worker:
        await worker.hello("worker-1", "research")
        created = await one.tasks.CreateTask(creation())
        assert created.state_reason == ""
        assert (await worker.given()).task_id == created.task_id
        waiting = asyncio.ensure_future(one.tasks.WaitTask(WaitTaskRequest(name=created.name)))
        await worker.do(operation(1, created.task_id, DONE))
        assert (await waiting).state == Task.COMPLETED


async def test_a_cancel_reaches_a_worker_of_the_other_replica(replicas: tuple[Replica, Replica]) -> None:
    """Asked here, the worker that is connected there hears of it soon; so does a force that ends the task."""
    one, two = replicas
    async with connected(two.channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await one.tasks.CancelTask(CancelTaskRequest(name="tasks/7"))
        assert (await worker.command()).cancel.task_id == 7
        assert loop.time() - asked < 5  # a second, on a machine that has nothing else to do
        await one.tasks.CancelTask(CancelTaskRequest(name="tasks/7", force=True, grace=Duration(nanos=1_000)))
        commands = [(await worker.command()).cancel.ended]
        while not commands[-1]:
            commands.append((await worker.command()).cancel.ended)


async def test_a_task_is_watched_at_the_other_replica(replicas: tuple[Replica, Replica]) -> None:
    """Every event comes, once and in order."""
    one, two = replicas
    async with connected(two.channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        call = one.tasks.WatchTask(WatchTaskRequest(name="tasks/7"))
        for sequence in range(2, 30):
            await worker.do(operation(sequence, 7, Output(b"[1]")))
        await worker.do(operation(30, 7, DONE))
        assert [response.event.generation async for response in call] == list(range(1, 31))


async def test_a_session_is_watched_at_both_replicas(replicas: tuple[Replica, Replica]) -> None:
    """The same events, in the same order, each once, though a watch goes on at the other replica half-way."""
    one, two = replicas

    async def watch(replica: Replica, cursor: str, count: int) -> list[tuple[str, int, str]]:
        call = replica.tasks.WatchSession(WatchSessionRequest(session_id="s", cursor=cursor))
        found: list[tuple[str, int, str]] = []
        async for response in call:
            found.append((response.event.task, response.event.generation, response.cursor))
            if len(found) == count:
                break
        call.cancel()
        return found

    async def work(replica: Replica, worker_id: str, task_ids: range) -> None:
        async with connected(replica.channel) as worker:
            await worker.hello(worker_id)
            for number, task_id in enumerate(task_ids):
                start = operation(2 * number + 1, task_id, Start("research", session_id="s"))
                await worker.do(start, operation(2 * number + 2, task_id, DONE))

    async with asyncio.timeout(60):
        whole = asyncio.create_task(watch(one, "", 80))
        working = asyncio.gather(work(one, "worker-1", range(1, 21)), work(two, "worker-2", range(101, 121)))
        first = await watch(two, "", 33)
        second = await watch(one, first[-1][2], 47)
        await working
        assert first + second == await whole
    assert len({event[:2] for event in first + second}) == 80


async def test_a_worker_that_comes_to_the_other_replica_keeps_its_epoch(replicas: tuple[Replica, Replica]) -> None:
    """Within its lease it goes on there with what it has, and what was claimed for it is said again."""
    one, two = replicas
    async with connected(one.channel) as worker:
        epoch = (await worker.hello("worker-1", "research")).epoch
        await worker.do(operation(1, 7, START))
        created = await one.tasks.CreateTask(creation())
        await worker.given()
    async with connected(two.channel) as worker:
        welcome = await worker.hello("worker-1", "research")
        assert (welcome.epoch, welcome.applied_sequence, welcome.lost_sequence) == (epoch, 1, 0)
        assert (await worker.given()).task_id == created.task_id
        assert await worker.do(operation(2, 7, DONE), operation(3, created.task_id, DONE)) == {2: None, 3: None}


async def test_a_silent_worker_is_lost_once(replicas: tuple[Replica, Replica], seen: Seen) -> None:
    """One of the replicas takes its lease and shows it; its late operations are refused at either."""
    one, two = replicas
    async with connected(one.channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        lost = await two.tasks.WaitTask(WaitTaskRequest(name="tasks/7"))
        assert (lost.state, lost.state_reason) == (Task.FAILED, "WORKER_LOST")
    for replica, sequence in ((one, 2), (two, 3)):
        async with connected(replica.channel) as worker:
            assert (await worker.hello()).lost_sequence == 1
            assert isinstance((await worker.do(operation(sequence, 7, DONE)))[sequence], LeaseLost)
    assert seen.lines == [("started", 7), ("WORKER_LOST", 7)]


async def test_a_restart_of_the_database_loses_nobody(
    replicas: tuple[Replica, Replica], postgres_server: PostgresServer
) -> None:
    """Longer away than a lease: a worker that speaks again afterwards has its task and its epoch still."""
    one, two = replicas
    async with connected(one.channel) as worker:
        epoch = (await worker.hello()).epoch
        await worker.do(operation(1, 7, START))
        await asyncio.to_thread(postgres_server.stop)
        await asyncio.sleep(LEASE.total_seconds() + 1)  # it is the lease that has to run out
        await asyncio.to_thread(postgres_server.start)
    async with asyncio.timeout(30):
        while True:
            async with connected(two.channel) as worker:
                try:
                    welcome = await worker.hello()
                except grpc.aio.AioRpcError:  # the replica has not found the database yet
                    await asyncio.sleep(0.1)
                    continue
                assert (welcome.epoch, welcome.lost_sequence) == (epoch, 0)
                assert await worker.do(operation(2, 7, DONE)) == {2: None}
                break
    assert (await two.tasks.GetTask(GetTaskRequest(name="tasks/7"))).state == Task.COMPLETED
