"""WatchTask and WatchSession: every event once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from outlast.core.errors import InvalidField, TaskNotFound
from outlast.core.operation import Output, Start
from outlast.v1.task_pb2 import Task, TaskEvent
from outlast.v1.task_service_pb2 import (
    CreateTaskRequest,
    DeleteTaskRequest,
    GetTaskRequest,
    WatchSessionRequest,
    WatchTaskRequest,
)
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from .speaking import DONE, START, connected, operation, refused

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


async def session_events(tasks: TaskServiceStub, cursor: str, limit: int, **fields: str) -> list[tuple[str, int, str]]:
    """Watch the session ``s`` after a cursor, and hang up after ``limit`` events: task, generation, cursor of each."""
    call = tasks.WatchSession(WatchSessionRequest(session_id="s", cursor=cursor, **fields))
    found: list[tuple[str, int, str]] = []
    async with asyncio.timeout(20):
        async for response in call:
            found.append((response.event.task, response.event.generation, response.cursor))
            if len(found) == limit:
                break
    call.cancel()
    return found


async def test_a_session_is_watched_across_reconnects(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Every event of all its tasks comes once, in order, over several connections; those of others never do."""
    async with connected(channel) as worker:
        await worker.hello()
        numbers = range(1, 41)

        async def work() -> None:
            sequence = 0
            for number in numbers:
                for task_id, session in ((number, "s"), (1_000 + number, "other")):
                    await worker.do(
                        operation(sequence + 1, task_id, Start("research", session_id=session)),
                        operation(sequence + 2, task_id, Output(b"[1]")),
                        operation(sequence + 3, task_id, DONE),
                    )
                    sequence += 3

        working = asyncio.create_task(work())
        found: list[tuple[str, int, str]] = []
        for limit in (1, 2, 50, 67):
            found += await session_events(tasks, found[-1][2] if found else "", limit)
        await working
    assert [event[:2] for event in found] == [(f"tasks/{number}", step) for number in numbers for step in (1, 2, 3)]


async def test_a_session_watch_is_filtered_by_agent(tasks: TaskServiceStub) -> None:
    """Only the tasks of the agent that was asked for."""
    for agent in ("one", "two"):
        await tasks.CreateTask(CreateTaskRequest(agent=agent, task_type=agent, session_id="s"))
    ((task, _, _),) = await session_events(tasks, "", 1, agent="two")
    assert (await tasks.GetTask(GetTaskRequest(name=task))).agent == "two"


async def test_a_session_watch_says_no(tasks: TaskServiceStub) -> None:
    """Without a session, or after a cursor that is none, the field is named."""
    for fields, field in (({"session_id": ""}, "session_id"), ({"session_id": "s", "cursor": "nonsense"}, "cursor")):
        async with refused(InvalidField, grpc.StatusCode.INVALID_ARGUMENT) as error:
            await tasks.WatchSession(WatchSessionRequest(**fields)).read()
        assert getattr(error[0], "field", "") == field


async def test_a_deleted_task_ends_its_watch(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Who watches a generation that will never come is told that the task does not exist any more."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        call = tasks.WatchTask(WatchTaskRequest(name="tasks/7", after_generation=99))
        await worker.do(operation(2, 7, DONE))
        assert await call.read() is grpc.aio.EOF
    await tasks.DeleteTask(DeleteTaskRequest(name="tasks/7"))
    async with refused(TaskNotFound, grpc.StatusCode.NOT_FOUND):
        await tasks.WatchTask(WatchTaskRequest(name="tasks/7")).read()
