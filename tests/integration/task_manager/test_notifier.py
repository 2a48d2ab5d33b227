"""The notifier: no wake-up is lost, and nothing is kept of tasks that nobody waits for."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import TaskManagerUnavailable
from outlast.v1.task_service_pb2 import CreateTaskRequest, WatchTaskRequest, WatchTaskResponse
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.notifier import Notifier
from outlastd.task_manager.tasks import Tasks
from outlastd.task_manager.workers import Workers

from .speaking import START, operation


async def test_a_change_between_reading_and_waiting_is_not_missed() -> None:
    """A bell that rang after it was cleared ends the wait at once."""
    notifier = Notifier()
    with notifier.listen(7) as bell:
        bell.clear()
        notifier.wake(7)
        async with asyncio.timeout(1):
            await bell.wait(float("inf"))
        notifier.close()
        with pytest.raises(TaskManagerUnavailable):
            bell.clear()


async def test_watchers_that_hang_up_are_forgotten(store: TaskStore) -> None:
    """After the calls have ended nobody listens, whether they waited or were being written to."""
    notifier = Notifier()
    await store.register_worker("worker", "agent")
    await store.apply("worker", [operation(1, 7, START)])
    use_cases = Tasks(store, Workers(), notifier, lambda changes: None)
    waiting = asyncio.ensure_future(use_cases.wait(7, 60))
    watch = use_cases.watch(7, 0)
    assert (await anext(watch)).generation == 1
    assert notifier.listening == 1
    waiting.cancel()
    await asyncio.wait([waiting])
    await watch.aclose()
    assert notifier.listening == 0


async def test_a_change_by_another_process_is_found(tasks: TaskServiceStub, store: TaskStore) -> None:
    """The notifier is a hint: a watcher sees what was written to the store behind the task manager's back."""
    created = await tasks.CreateTask(CreateTaskRequest(agent="agent", task_type="research"))
    call = tasks.WatchTask(WatchTaskRequest(name=created.name))
    await call.read()
    await store.request_cancel(created.task_id)
    response = await call.read()
    assert isinstance(response, WatchTaskResponse)
    assert response.event.generation == 2
