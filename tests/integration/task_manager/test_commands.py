"""Commands down the worker stream: run and cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
from google.protobuf.duration_pb2 import Duration

from outlast.core.errors import LeaseLost, StoreUnavailable
from outlast.core.event import Change
from outlast.core.operation import Finish, Start, Submit
from outlast.core.state import TaskState
from outlast.core.task import Task as StoredTask
from outlast.core.task import TaskError
from outlast.core.worker import Registration
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, GetTaskRequest, WaitTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.dispatcher import MAX_CLAIM
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from .conftest import Serve
from .speaking import DONE, START, Seen, connected, operation

SHUTDOWN = TaskError(10, "the agent was told to stop", "WORKER_SHUTDOWN")


async def create(tasks: TaskServiceStub, **fields: object) -> Task:
    """Submit a task of the agent."""
    wanted = {"agent": "agent", "task_type": "research", "input": '{"args": [1]}', **fields}
    return await tasks.CreateTask(CreateTaskRequest(**wanted))  # type: ignore[arg-type]


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
        assert not command.cancel.ended
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
        await worker.nothing()


async def test_a_cancel_that_another_process_recorded_is_found(store: TaskStore, channel: grpc.aio.Channel) -> None:
    """Without any hint the request reaches the worker within the second, and only once."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        await store.request_cancel(7)  # behind the task manager's back
        async with asyncio.timeout(5):
            assert (await worker.command()).cancel.task_id == 7
        await worker.nothing(1.2)


async def test_a_submitted_task_is_claimed_for_a_connected_worker(
    tasks: TaskServiceStub, channel: grpc.aio.Channel, seen: Seen
) -> None:
    """A worker of the type is given it WORKING, attempt 1, with its epoch and input; the line is written before."""
    async with connected(channel) as worker:
        welcome = await worker.hello("worker-1", "research")
        created = await create(tasks)
        assert created.state_reason == ""
        task = await worker.given()
        assert seen.lines == [("started", created.task_id)]
        assert (task.task_id, task.input) == (created.task_id, '{"args": [1]}')
        assert (task.state, task.attempt, task.worker_id) == (Task.WORKING, 1, "worker-1")
        assert task.epoch == welcome.epoch
        assert await worker.do(operation(1, task.task_id, DONE)) == {1: None}
    assert (await tasks.GetTask(GetTaskRequest(name=created.name))).state == Task.COMPLETED


async def test_a_task_waits_for_its_worker(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """With no worker for its type it is SUBMITTED(NO_WORKER), and is given, the oldest first, when one connects."""
    created = [await create(tasks) for _ in range(3)]
    assert {task.state_reason for task in created} == {"NO_WORKER"}
    async with connected(channel) as other, connected(channel) as worker:
        await other.hello("worker-1", "something-else")
        await worker.hello("worker-2", "research")
        assert [(await worker.given()).task_id for _ in range(3)] == [task.task_id for task in created]


async def test_workers_take_turns(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Two workers of a type get every other task."""
    async with connected(channel) as first, connected(channel) as second:
        await first.hello("worker-1", "research")
        await second.hello("worker-2", "research")
        for _ in range(2):
            pair = {(await create(tasks)).task_id, (await create(tasks)).task_id}
            assert {(await worker.given()).task_id for worker in (first, second)} == pair


async def test_a_burst_is_shared(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """What has gathered goes to all workers that are there, in small parts first."""
    async with connected(channel) as first, connected(channel) as second:
        for worker, name in ((first, "worker-1"), (second, "worker-2")):
            await worker.hello(name, "other")
        created = {(await create(tasks)).task_id for _ in range(10)}
        async with connected(channel) as third, connected(channel) as fourth:
            for worker, name in ((third, "worker-3"), (fourth, "worker-4")):
                await worker.hello(name, "research", max_tasks=5)
            given = [[(await worker.given()).task_id for _ in range(5)] for worker in (third, fourth)]
    assert {task_id for part in given for task_id in part} == created


async def test_a_worker_is_given_as_much_as_it_has_room_for(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """It counts all that it holds, what it has begun itself too; each end makes room for one more, the oldest first."""
    created = [(await create(tasks)).task_id for _ in range(4)]
    async with connected(channel) as worker:
        await worker.hello("worker-1")
        await worker.do(operation(1, 7, START))
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research", max_tasks=3)
        given = [(await worker.given()).task_id for _ in range(2)]
        assert (await worker.lease()).heartbeat == 1  # and nothing more is given before it
        await worker.do(operation(2, 7, DONE))
        given.append((await worker.given()).task_id)
        await worker.do(operation(3, given[0], DONE))
        given.append((await worker.given()).task_id)
        assert given == created


async def test_many_tasks_come_once_each(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """More than one claim takes are given in order, without one being missed or repeated."""
    created = [(await create(tasks)).task_id for _ in range(2 * MAX_CLAIM + 3)]
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        assert [(await worker.given()).task_id for _ in created] == created
        await worker.nothing()


async def test_what_was_given_is_said_again_on_a_new_stream(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A claimed attempt comes again right after the welcome; what the worker began itself, or waits in it, does not."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await create(tasks)
        assert (await worker.given()).task_id == created.task_id
        await worker.do(operation(1, 7, START), operation(2, 8, Submit(Start("wait"))), operation(3, 9, START))
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        assert (await worker.given()).task_id == created.task_id
        await worker.do(operation(4, created.task_id, DONE))  # and no command comes before the answer
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        await worker.nothing()


async def test_a_task_that_was_claimed_by_a_dead_stream_is_found(store: TaskStore, channel: grpc.aio.Channel) -> None:
    """What another replica has claimed for the worker, on a stream that had ended, is given to it by and by."""
    async with connected(channel) as worker:
        welcome = await worker.hello("worker-1")  # no types: nothing is claimed for it here
        await store.register_worker(Registration("worker-1", "agent", frozenset({"research"})))
        await store.create(StoredTask(1_000, "research", "agent", TaskState.SUBMITTED, input=b"{}"))
        (change,) = await store.claim("worker-1", welcome.epoch, 9)
        async with asyncio.timeout(10):
            assert (await worker.given()).task_id == change.task.task_id


async def test_a_released_task_goes_to_another_worker(
    tasks: TaskServiceStub, channel: grpc.aio.Channel, seen: Seen
) -> None:
    """An attempt that ended because its worker stops is followed by the next one, on another worker, at once."""
    async with connected(channel) as first, connected(channel) as second:
        await first.hello("worker-1", "research")
        created = await create(tasks, max_attempts=2)
        await first.given()
        await first.lease(draining=True)
        await second.hello("worker-2", "research")
        finish = Finish(TaskState.FAILED, "WORKER_SHUTDOWN", error=SHUTDOWN)
        assert await first.do(operation(1, created.task_id, finish)) == {1: None}
        task = await second.given()
        assert (task.task_id, task.attempt) == (created.task_id, 2)
        # A result of the first attempt comes too late.
        assert isinstance((await first.do(operation(2, created.task_id, DONE)))[2], LeaseLost)
    assert [line for line, _ in seen.lines] == ["started", "again after WORKER_SHUTDOWN", "started"]


async def test_an_attempt_that_has_to_wait_is_given_in_time(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A failed attempt is followed by the next after its backoff, with nothing else happening."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await create(tasks, max_attempts=2, backoff=Duration(nanos=200_000_000))
        await worker.given()
        finish = Finish(TaskState.FAILED, error=TaskError(2, "no", "LookupError"))
        await worker.do(operation(1, created.task_id, finish))
        waiting = await tasks.GetTask(GetTaskRequest(name=created.name))
        assert (waiting.state, waiting.state_reason) == (Task.SUBMITTED, "BACKOFF")
        async with asyncio.timeout(10):
            assert (await worker.given()).attempt == 2


async def test_a_draining_worker_is_given_nothing(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Whether it said so when it connected or later."""
    async with connected(channel) as first, connected(channel) as second:
        await first.hello("worker-1", "research", draining=True)
        await second.hello("worker-2", "research")
        await second.lease(draining=True)
        assert (await create(tasks)).state_reason == "NO_WORKER"
        await first.nothing()
        await second.nothing()


async def test_a_worker_of_a_session_is_given_that_sessions_tasks(
    tasks: TaskServiceStub, channel: grpc.aio.Channel
) -> None:
    """Those of other sessions, and of none, wait for another worker."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research", session_id="s")
        assert (await create(tasks, session_id="other")).state_reason == "NO_WORKER"
        assert (await create(tasks)).state_reason == "NO_WORKER"
        created = await create(tasks, session_id="s")
        assert (await worker.given()).task_id == created.task_id
        await worker.nothing()


async def test_a_command_comes_to_nobody_else(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """A worker of another agent is given nothing."""
    async with connected(channel) as worker:
        await worker.hello("worker-1", "research", agent="other")
        assert (await create(tasks)).state_reason == "NO_WORKER"
        await worker.nothing()


async def test_a_task_that_waits_in_its_worker_is_taken_back(tasks: TaskServiceStub, channel: grpc.aio.Channel) -> None:
    """Canceled before its start it has ended: the worker is told to let go of it, and its start is refused."""
    async with connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, Submit(START, "WORKER_BUSY")))
        assert (await tasks.CancelTask(CancelTaskRequest(name="tasks/7"))).state == Task.CANCELED
        cancel = (await worker.command()).cancel
        assert (cancel.task_id, cancel.reason, cancel.ended) == (7, "CANCEL_REQUESTED", True)
        assert (await worker.do(operation(2, 7, START)))[2] is not None


async def test_tasks_wait_for_a_store_that_is_away(serve: Serve, store: TaskStore) -> None:
    """A claim that the store could not answer is tried again, and nothing is lost or given twice."""
    failures = iter([True, True])

    class FlakyStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def claim(self, worker_id: str, epoch: int, limit: int) -> Sequence[Change]:
            if next(failures, False):
                raise StoreUnavailable("away")
            return await store.claim(worker_id, epoch, limit)

    bound = await serve(store=FlakyStore())
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = [(await create(TaskServiceStub(channel))).task_id for _ in range(3)]
        assert [(await worker.given()).task_id for _ in range(3)] == created
        await worker.nothing()


async def test_a_claim_under_way_is_shown_when_the_task_manager_stops(store: TaskStore, seen: Seen) -> None:
    """What was claimed has begun: its line is written, and the worker finds it at the next task manager."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    class SlowStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def claim(self, worker_id: str, epoch: int, limit: int) -> Sequence[Change]:
            changes = await store.claim(worker_id, epoch, limit)
            entered.set()
            await go_on.wait()
            return changes

    server = TaskManagerServer(SlowStore(), ServerSettings(listen="127.0.0.1:0"), seen)  # type: ignore[arg-type]
    bound = await server.start()
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello("worker-1", "research")
        created = await create(TaskServiceStub(channel))
        await entered.wait()
        stopping = asyncio.create_task(server.stop(0))
        await worker.refusal()
        go_on.set()
        await stopping
    assert seen.lines == [("started", created.task_id)]
    assert [task.task_id for task in await store.held("worker-1")] == [created.task_id]


async def test_a_change_is_published_though_its_caller_hangs_up(serve: Serve, store: TaskStore, seen: Seen) -> None:
    """A cancel that is committed is shown and passed on, whether or not somebody waits for the answer."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    class SlowStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def request_cancel(self, task_id: int, **how: Any) -> object:
            answer = await store.request_cancel(task_id, **how)
            entered.set()
            await go_on.wait()
            return answer

    bound = await serve(store=SlowStore())
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        created = await create(tasks)
        waiting = asyncio.ensure_future(tasks.WaitTask(WaitTaskRequest(name=created.name)))
        call = tasks.CancelTask(CancelTaskRequest(name=created.name))
        asked = asyncio.ensure_future(call.wait_for_connection())
        await entered.wait()
        call.cancel()
        go_on.set()
        assert (await waiting).state == Task.CANCELED
        asked.cancel()
    assert seen.lines == [("CANCEL_REQUESTED", created.task_id)]
