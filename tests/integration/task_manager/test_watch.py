"""WatchTask: every event once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from outlast.core.operation import Output
from outlast.v1.task_pb2 import Task, TaskEvent
from outlast.v1.task_service_pb2 import CreateTaskRequest, WatchTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from .speaking import DONE, START, connected, operation

CHUNKS = 230


async def events(tasks: TaskServiceStub, after: int, limit: int) -> list[TaskEvent]:
    """Watch after a generation, and hang up after ``limit`` events."""
    call = tasks.WatchTask(WatchTaskRequest(name="tasks/7", after_generation=after))
    found: list[TaskEvent] = []
    async for response in call:
        found.append(response.event)
        if len(found) == limit:
            call.cancel()
            break
    return found


async def test_a_watcher_sees_each_event_once_across_reconnects(
    tasks: TaskServiceStub, channel: grpc.aio.Channel
) -> None:
    """Events 1 to N come once and in order over five connections, while the worker makes them."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))

        async def work() -> None:
            for sequence in range(2, CHUNKS + 2):
                await worker.do(operation(sequence, 7, Output(b'["%d"]' % sequence)))
            await worker.do(operation(CHUNKS + 2, 7, DONE))

        working = asyncio.create_task(work())
        found: list[TaskEvent] = []
        for limit in (1, 3, 120, 40, 1_000):
            found += await events(tasks, found[-1].generation if found else 0, limit)
        await working
    assert [event.generation for event in found] == list(range(1, CHUNKS + 3))
    assert [event.output for event in found[1:-1]] == [f'["{number}"]' for number in range(2, CHUNKS + 2)]
    assert (found[-1].state, found[-1].result) == (Task.COMPLETED, '{"answer": 42}')
    assert [event.task for event in found[:1]] == ["tasks/7"]


async def test_a_watch_of_an_ended_task_ends(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Also when the watcher has seen the last event, or names a generation that never came."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START), operation(2, 7, DONE))
    assert [event.generation for event in await events(tasks, 1, 9)] == [2]
    assert await events(tasks, 2, 9) == []
    assert await events(tasks, 99, 9) == []


async def test_stopping_ends_watches(store: TaskStore) -> None:
    """A watch under way ends with UNAVAILABLE, at once, when the task manager stops."""
    server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0"))
    bound = await server.start()
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        created = await tasks.CreateTask(CreateTaskRequest(agent="agent", task_type="research"))
        call = tasks.WatchTask(WatchTaskRequest(name=created.name))
        await call.read()
        async with asyncio.timeout(5):
            await server.stop(grace=30)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
