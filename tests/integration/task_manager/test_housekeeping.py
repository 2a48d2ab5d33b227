"""What time does to tasks: queue timeouts, cancels that are not followed, and the end of their keeping."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration

from outlast.core.errors import TaskNotFound
from outlast.core.event import Change
from outlast.core.operation import Start
from outlast.core.policy import Policy
from outlast.core.state import TaskState
from outlast.core.task import Task as StoredTask
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, GetTaskRequest, WaitTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.housekeeping import OVERDUE_STEP, SWEEP_STEP, Housekeeping
from outlastd.task_manager.projection import Publish, project

from .clocks import FakeClock
from .speaking import DONE, START, Seen, connected, operation

BRIEF = Duration(nanos=100_000_000)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that tests set."""
    return FakeClock()


@pytest.fixture
async def kept(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SQLiteTaskStore]:
    """A store that goes by the clock and keeps what has ended for an hour."""
    policy = Policy(retention=timedelta(hours=1), queue_timeout=timedelta(hours=2))
    store = await SQLiteTaskStore.open(tmp_path / "kept.db", policy, clock.now)
    yield store
    await store.close()


async def test_a_task_that_nobody_starts_in_time_fails(tasks: TaskServiceStub, seen: Seen) -> None:
    """Its queue timeout ends it, and whoever waits is told; its line says so."""
    created = await tasks.CreateTask(CreateTaskRequest(agent="agent", task_type="research", queue_timeout=BRIEF))
    ended = await tasks.WaitTask(WaitTaskRequest(name=created.name))
    assert (ended.state, ended.state_reason) == (Task.FAILED, "QUEUE_TIMEOUT")
    assert seen.lines == [("QUEUE_TIMEOUT", created.task_id)]


async def test_a_cancel_that_is_not_followed_is_forced(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """The worker is asked, then told that the task has ended; what it says of it afterwards does not count."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        await tasks.CancelTask(CancelTaskRequest(name="tasks/7"))
        asked = (await worker.command()).cancel
        await tasks.CancelTask(CancelTaskRequest(name="tasks/7", force=True, grace=BRIEF))
        again = (await worker.command()).cancel
        ended = (await worker.command()).cancel
        assert (asked.ended, again.ended) == (False, False)
        assert (ended.task_id, ended.reason, ended.ended) == (7, "CANCEL_FORCED", True)
        assert (await worker.do(operation(2, 7, DONE)))[2] is not None
    task = await tasks.GetTask(GetTaskRequest(name="tasks/7"))
    assert (task.state, task.state_reason) == (Task.CANCELED, "CANCEL_FORCED")


async def test_a_manual_task_is_canceled_after_its_grace(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """There is no code to reach: it is asked, and CANCELED on request without force."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, Start("by-hand", manual=True)))
        await tasks.CancelTask(CancelTaskRequest(name="tasks/7", grace=BRIEF))
        assert not (await worker.command()).cancel.ended
        assert (await worker.command()).cancel.ended
    task = await tasks.GetTask(GetTaskRequest(name="tasks/7"))
    assert (task.state, task.state_reason) == (Task.CANCELED, "CANCEL_REQUESTED")


async def test_a_result_wins_over_a_cancel_that_has_not_taken_effect(
    tasks: TaskServiceStub, channel: grpc.aio.Channel
) -> None:
    """A forced cancel whose grace has not passed changes nothing of a task that completes."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        await tasks.CancelTask(CancelTaskRequest(name="tasks/7", force=True))
        await worker.command()
        assert await worker.do(operation(2, 7, DONE)) == {2: None}
    assert (await tasks.GetTask(GetTaskRequest(name="tasks/7"))).state == Task.COMPLETED


async def test_a_forced_end_elsewhere_is_found(store: SQLiteTaskStore, channel: grpc.aio.Channel) -> None:
    """Without any hint, the worker hears that another process has ended its task by force."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        await store.request_cancel(7, force=True, grace=timedelta(seconds=1))
        async with asyncio.timeout(10):
            assert not (await worker.command()).cancel.ended
            assert (await worker.command()).cancel.ended


async def test_all_that_is_overdue_is_ended(kept: SQLiteTaskStore, clock: FakeClock, seen: Seen) -> None:
    """However many have waited too long, all are ended at one look; those that have not are left."""
    for task_id in range(1, OVERDUE_STEP + 10):
        await kept.create(StoredTask(task_id, "research", "agent", TaskState.SUBMITTED))
    clock.pass_(3_600)
    await kept.create(StoredTask(9_999, "research", "agent", TaskState.SUBMITTED))
    clock.pass_(3_601)
    await Housekeeping(kept, publisher(seen)).end_overdue()
    assert len(seen.lines) == OVERDUE_STEP + 9
    assert (await kept.get(9_999)).state is TaskState.SUBMITTED


async def test_what_was_kept_long_enough_is_deleted(
    kept: SQLiteTaskStore, clock: FakeClock, seen: Seen, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ended tasks go after their time, in parts, are counted and told in one line; the others stay."""
    count = SWEEP_STEP + 20
    for task_id in range(1, count + 2):
        await kept.create(StoredTask(task_id, "research", "agent", TaskState.SUBMITTED))
        if task_id <= count:
            await kept.request_cancel(task_id)
    counted: list[int] = []
    housekeeping = Housekeeping(kept, publisher(seen), counted.append)
    assert await housekeeping.sweep() == 0
    clock.pass_(3_601)
    assert await housekeeping.sweep() == count
    assert counted == [SWEEP_STEP, 20]
    with pytest.raises(TaskNotFound):
        await kept.get(1)
    assert (await kept.get(count + 1)).state is TaskState.SUBMITTED
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "expired tasks deleted" in line]
    assert json.loads(line)["tasks"] == count


def publisher(seen: Seen) -> Publish:
    """Return a function that shows changes."""

    def publish(changes: Iterable[Change]) -> None:
        for change in changes:
            project(change, seen)

    return publish
