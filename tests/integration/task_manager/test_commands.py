"""Commands down the worker stream: cancel and run."""

from __future__ import annotations

import asyncio

import grpc.aio
import pytest

from outlast.core.errors import IllegalTransition
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, GetTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.task_manager.workers import MAX_OFFERED

from .speaking import DONE, START, connected, operation


async def create(tasks: TaskServiceStub, task_type: str = "research") -> Task:
    """Submit a task of the agent."""
    return await tasks.CreateTask(CreateTaskRequest(agent="agent", task_type=task_type, input='{"args": [1]}'))


async def test_a_cancel_reaches_the_worker(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """CancelTask records the request and tells the worker that holds the task, once; the task is WORKING until then."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        for _ in range(2):
            asked = await tasks.CancelTask(CancelTaskRequest(name="tasks/7"))
            assert (asked.state, asked.state_reason, asked.generation) == (Task.WORKING, "CANCEL_REQUESTED", 2)
        command = await worker.command()
        assert (command.cancel.task_id, command.cancel.reason) == (7, "CANCEL_REQUESTED")
        assert await worker.do(operation(2, 7, DONE)) == {2: None}


async def test_a_worker_that_was_away_is_told_of_cancels(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """What was asked while its stream was broken comes right after the welcome."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START), operation(2, 8, START))
    await tasks.CancelTask(CancelTaskRequest(name="tasks/8"))
    async with connected(channel) as worker:
        await worker.hello()
        assert (await worker.command()).cancel.task_id == 8


async def test_a_submitted_task_goes_to_a_connected_worker(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A worker that has registered the type gets it with its input, starts it, and it is WORKING, attempt 1."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await create(tasks)
        assert created.state_reason == ""
        task = (await worker.command()).run.task
        assert (task.task_id, task.input) == (created.task_id, '{"args": [1]}')
        assert await worker.do(operation(1, task.task_id, START)) == {1: None}
        started = await tasks.GetTask(GetTaskRequest(name=created.name))
        assert (started.state, started.attempt, started.worker_id) == (Task.WORKING, 1, "worker-1")


async def test_a_task_waits_for_its_worker(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """With no worker for its type it is SUBMITTED(NO_WORKER), and is run, the oldest first, when one connects."""
    created = [await create(tasks) for _ in range(3)]
    assert {task.state_reason for task in created} == {"NO_WORKER"}
    async with connected(channel) as other, connected(channel) as worker:
        await other.hello("worker-1", "something-else")
        await worker.hello("worker-2", "research")
        offered = [(await worker.command()).run.task.task_id for _ in range(3)]
    assert offered == [task.task_id for task in created]


async def test_workers_take_turns(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Two workers of a type get every other task."""
    async with connected(channel) as first, connected(channel) as second:
        await first.hello("worker-1", "research")
        await second.hello("worker-2", "research")
        for _ in range(2):
            pair = {(await create(tasks)).task_id, (await create(tasks)).task_id}
            assert {(await worker.command()).run.task.task_id for worker in (first, second)} == pair


async def test_a_task_that_was_not_started_is_offered_again(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """When the stream that it was offered on breaks, another worker gets it."""
    async with connected(channel) as second:
        async with connected(channel) as first:
            await first.hello("worker-1", "research")
            created = await create(tasks)
            assert (await first.command()).run.task.name == created.name
            await second.hello("worker-2", "research")
        assert (await second.command()).run.task.name == created.name


async def test_offers_are_bounded_and_go_on(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A worker is offered a window of tasks; each that it starts makes room for one more; each comes once, in order."""
    created = [(await create(tasks)).task_id for _ in range(MAX_OFFERED + 5)]
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        offered = [(await worker.command()).run.task.task_id for _ in range(MAX_OFFERED)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await worker.command()
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        offered = []
        while len(offered) < len(created):
            response = await worker.read()
            if response.HasField("command"):
                offered.append(response.command.run.task.task_id)
                await worker.send(operation(len(offered), offered[-1], START))
    assert offered == created


async def test_a_canceled_offer_is_taken_back(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A task that was offered and is canceled before its start: the worker is told, and its start is refused."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await create(tasks)
        await worker.command()
        assert (await tasks.CancelTask(CancelTaskRequest(name=created.name))).state == Task.CANCELED
        assert (await worker.command()).cancel.task_id == created.task_id
        answers = await worker.do(operation(1, created.task_id, START))
        assert isinstance(answers[1], IllegalTransition)


async def test_a_command_comes_to_nobody_else(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A worker of another agent is offered nothing."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research", agent="other")
        assert (await create(tasks)).state_reason == "NO_WORKER"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await worker.command()
