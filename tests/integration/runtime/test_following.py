"""Following a task to its end by way of the task manager, across what may happen meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from outlast.app import App
from outlast.core.errors import TaskNotFound
from outlast.core.operation import Finish, Start
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.tasks.channel import Replicas
from outlast.tasks.following import Follower
from outlast.tasks.stream import WorkerStream

from .conftest import Manager

PATIENCE = 30.0
DONE = Finish(TaskState.COMPLETED, result=b'"done"')


@pytest.fixture
async def follower(manager: Manager, app: App) -> AsyncIterator[Follower]:
    """A follower that asks the manager."""
    replicas = Replicas([manager.address])
    follower = Follower(replicas, "", app.runtime.ledger.knows)
    yield follower
    await follower.close()
    await replicas.close()


async def test_a_task_is_followed_to_its_end(stream: WorkerStream, app: App, follower: Follower) -> None:
    """Asked from a thread that blocks, also before the task manager has heard of the task."""
    ledger = app.runtime.ledger
    task = ledger.start(Start("work"))
    stream.start()
    told: list[Task] = []
    thread = threading.Thread(target=lambda: told.append(follower.follow(task.task_id).result(PATIENCE)))
    thread.start()
    await stream.ready(PATIENCE)

    ledger.finish(task, DONE)
    await asyncio.to_thread(thread.join, PATIENCE)

    (record,) = told
    assert (record.task_id, record.state, record.result) == (task.task_id, TaskState.COMPLETED, b'"done"')


async def test_following_survives_an_outage(
    stream: WorkerStream, app: App, follower: Follower, manager: Manager
) -> None:
    """The question is asked again when the manager is back."""
    stream.start()
    await stream.ready(PATIENCE)
    task = app.runtime.ledger.start(Start("work"))
    await stream.acknowledged(app.runtime.ledger.watermark, PATIENCE)
    future = follower.follow(task.task_id)

    await manager.stop()
    app.runtime.ledger.finish(task, DONE)
    await manager.start()

    record = await asyncio.wait_for(asyncio.wrap_future(future), PATIENCE)
    assert record.state is TaskState.COMPLETED


async def test_a_task_that_does_not_exist_is_no_secret(follower: Follower) -> None:
    """The future fails with TaskNotFound."""
    with pytest.raises(TaskNotFound):
        await asyncio.wait_for(asyncio.wrap_future(follower.follow(7)), PATIENCE)


async def test_a_cancel_is_passed_on(stream: WorkerStream, app: App, follower: Follower, manager: Manager) -> None:
    """The task manager has it on record, and tells the worker."""
    heard = asyncio.Event()
    stream.start()
    await stream.ready(PATIENCE)
    task = app.runtime.ledger.start(Start("work"), on_cancel=heard.set)

    follower.cancel(task.task_id)

    await asyncio.wait_for(heard.wait(), PATIENCE)
    assert (await manager.store.get(task.task_id)).cancel_requested_at is not None


async def test_whoever_asks_as_the_services_end_is_let_go(follower: Follower) -> None:
    """A question that has been taken and has not made its first step is canceled as any other."""
    asked = follower.follow(7)
    closed = asyncio.get_running_loop().create_task(follower.close())  # its first step comes behind the question's

    await closed

    assert asked.cancelled()


async def test_whoever_waits_is_let_go_when_the_services_end(
    stream: WorkerStream, app: App, follower: Follower
) -> None:
    """Futures are canceled, those that are asked for later at once."""
    stream.start()
    await stream.ready(PATIENCE)
    task = app.runtime.ledger.start(Start("work"))
    future = follower.follow(task.task_id)
    await stream.acknowledged(app.runtime.ledger.watermark, PATIENCE)

    await follower.close()
    late = follower.follow(task.task_id)
    await asyncio.sleep(0)

    assert future.cancelled()
    assert late.cancelled()
