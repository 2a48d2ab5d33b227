"""The worker stream against a real task manager: answers, breaks, replays, commands."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from google.protobuf.duration_pb2 import Duration

from outlast.app import App
from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.tasks.current import current_task
from outlast.tasks.stream import WorkerStream
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

from .conftest import Manager

PATIENCE = 20.0


async def started(stream: WorkerStream) -> WorkerStream:
    """Start the stream and wait until it is ready."""
    stream.start()
    await stream.ready(PATIENCE)
    return stream


async def ended(tasks: TaskServiceStub, name: str) -> Task:
    """Return the task once it is terminal."""
    return await tasks.WaitTask(pb.WaitTaskRequest(name=name, timeout=Duration(seconds=int(PATIENCE))))


async def poll_until_it_raises(stream: WorkerStream) -> None:
    """Ask whether the manager is available until it is not."""
    async with asyncio.timeout(PATIENCE):
        while True:
            stream.available()
            await asyncio.sleep(0)


async def test_what_is_acknowledged_is_recorded(stream: WorkerStream, app: App, tasks: TaskServiceStub) -> None:
    """Once the watermark is reached, the task manager knows the task and its end (promise 1)."""
    await started(stream)
    ledger = app.runtime.ledger

    task = ledger.start(Start("work", session_id="session"))
    await stream.acknowledged(ledger.watermark, PATIENCE)
    assert (await tasks.GetTask(pb.GetTaskRequest(name=task.name))).state == Task.WORKING

    ledger.finish(task.task_id, Finish(TaskState.COMPLETED, result=b'"done"'))
    await stream.acknowledged(ledger.watermark, PATIENCE)
    recorded = await tasks.GetTask(pb.GetTaskRequest(name=task.name))
    assert (recorded.state, recorded.result, recorded.generation) == (Task.COMPLETED, '"done"', 2)


async def test_nothing_is_lost_or_doubled_across_a_restart(
    stream: WorkerStream, app: App, manager: Manager, tasks: TaskServiceStub
) -> None:
    """Operations made while the manager is away arrive once when it is back, in order, whatever was in flight."""
    await started(stream)
    ledger = app.runtime.ledger
    before = [ledger.start(Start("before")) for _ in range(200)]
    stopping = asyncio.create_task(manager.stop())
    for task in before:
        ledger.finish(task.task_id, Finish(TaskState.COMPLETED))
        await asyncio.sleep(0)
    during = [ledger.start(Start("during")) for _ in range(200)]
    await stopping
    await manager.start()

    await stream.acknowledged(ledger.watermark, PATIENCE)

    for task in before:
        recorded = await tasks.GetTask(pb.GetTaskRequest(name=task.name))
        assert (recorded.state, recorded.generation) == (Task.COMPLETED, 2)
    for task in during:
        recorded = await tasks.GetTask(pb.GetTaskRequest(name=task.name))
        assert (recorded.state, recorded.generation) == (Task.WORKING, 1)


async def test_an_outage_is_known_and_its_end_too(stream: WorkerStream, app: App, manager: Manager) -> None:
    """While the manager is away ``available`` names it; it is available again once all that waited is answered."""
    await started(stream)
    stream.available()

    await manager.stop()
    app.runtime.ledger.start(Start("meanwhile"))
    with pytest.raises(TaskManagerUnavailable, match=manager.address):
        await poll_until_it_raises(stream)

    await manager.start()
    await stream.ready(PATIENCE)
    stream.available()
    assert app.runtime.ledger.answered == app.runtime.ledger.watermark


async def test_a_cancel_reaches_async_code(stream: WorkerStream, app: App, tasks: TaskServiceStub) -> None:
    """CancelTask becomes CancelledError in the task's code, and the record says so."""

    @app.async_task
    async def wait() -> None:
        await asyncio.Event().wait()

    await started(stream)
    handle = wait.start()
    await stream.acknowledged(app.runtime.ledger.watermark, PATIENCE)

    await tasks.CancelTask(pb.CancelTaskRequest(name=handle.name))
    recorded = await ended(tasks, handle.name)

    assert (recorded.state, recorded.state_reason) == (Task.CANCELED, "CANCEL_REQUESTED")


async def test_a_cancel_is_seen_on_a_thread(stream: WorkerStream, app: App, tasks: TaskServiceStub) -> None:
    """A plain function sees the request and decides by itself."""
    running = threading.Event()

    @app.async_task
    def wait() -> None:
        task = current_task()
        running.set()
        while not task.cancelled:
            threading.Event().wait(0.01)
        task.raise_if_cancelled()

    await started(stream)
    handle = wait.start()
    await asyncio.to_thread(running.wait, PATIENCE)
    await stream.acknowledged(app.runtime.ledger.watermark, PATIENCE)

    await tasks.CancelTask(pb.CancelTaskRequest(name=handle.name))

    assert (await ended(tasks, handle.name)).state == Task.CANCELED


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_submitted_task_is_run(
    stream: WorkerStream, app: App, tasks: TaskServiceStub, asynchronous: bool
) -> None:
    """CreateTask's arguments reach the function, and its result comes back under the same id."""

    def double(number: int, *, times: int = 2) -> int:
        return number * times

    async def double_later(number: int, *, times: int = 2) -> int:
        return number * times

    app.async_task(double_later if asynchronous else double, name="double")
    await started(stream)

    created = await tasks.CreateTask(
        pb.CreateTaskRequest(task_type="double", input='{"args": [7], "kwargs": {"times": 6}}', session_id="session")
    )
    recorded = await ended(tasks, created.name)

    assert (recorded.state, json.loads(recorded.result), recorded.attempt) == (Task.COMPLETED, 42, 1)
    assert recorded.session_id == "session"


async def test_arguments_that_do_not_fit_fail_the_task(stream: WorkerStream, app: App, tasks: TaskServiceStub) -> None:
    """A submitted task whose arguments the function does not take is FAILED, and says why."""

    @app.async_task
    def double(number: int) -> int:
        return number * 2

    await started(stream)

    created = await tasks.CreateTask(pb.CreateTaskRequest(task_type="double", input='{"args": [1, 2, 3]}'))
    recorded = await ended(tasks, created.name)

    assert recorded.state == Task.FAILED
    assert "too many positional arguments" in recorded.error.message


async def test_close_sends_what_is_left(
    stream: WorkerStream, app: App, manager: Manager, tasks: TaskServiceStub
) -> None:
    """Closing waits for the answers to what was queued before."""
    await started(stream)
    handles = [app.runtime.ledger.start(Start("work")) for _ in range(1_000)]

    await stream.close(PATIENCE)

    assert app.runtime.ledger.answered == app.runtime.ledger.watermark
    last = await tasks.GetTask(pb.GetTaskRequest(name=handles[-1].name))
    assert last.state == Task.WORKING
