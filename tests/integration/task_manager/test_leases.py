"""Leases over real streams: renewed by signs of life, lost by silence, and what a zombie says then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import grpc.aio
import pytest

from outlast.core.errors import LeaseLost, StoreUnavailable, TaskManagerUnavailable
from outlast.core.policy import Policy
from outlast.core.state import TaskState
from outlast.core.worker import Registration, Renewal
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CreateTaskRequest, WaitTaskRequest, WatchTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.renewals import Renewals

from .conftest import Serve
from .speaking import DONE, START, connected, operation


@pytest.fixture
async def brief_store(tmp_path: Path) -> AsyncIterator[TaskStore]:
    """A store with leases of a second."""
    store = await SQLiteTaskStore.open(tmp_path / "brief.db", Policy(lease_ttl=timedelta(seconds=1)))
    yield store
    await store.close()


async def test_a_sign_of_life_renews_the_lease(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """The welcome says how long a lease holds; each sign of life is answered by its number when it is on disk."""
    async with connected(channel) as worker:
        welcome = await worker.hello()
        assert welcome.lease_ttl.seconds == store.policy.lease_ttl.total_seconds()
        (before,) = await store.living_workers()
        lease = await worker.lease(5)
        assert (lease.heartbeat, lease.ttl) == (5, welcome.lease_ttl)
        (after,) = await store.living_workers()
        assert after.lease_until is not None
        assert before.lease_until is not None
        assert after.lease_until > before.lease_until
        await worker.lease(6, draining=True)
        assert (await store.living_workers())[0].draining


async def test_signs_of_life_are_not_held_up_by_batches(channel: grpc.aio.Channel) -> None:
    """One that follows many operations is answered like one that comes alone."""
    async with connected(channel) as worker:
        await worker.hello()
        for number in range(1, 9):
            await worker.send(operation(number, number, START))
        await worker.beat(1)
        kinds = [str((await worker.read()).WhichOneof("message")) for _ in range(9)]
    assert sorted(kinds) == ["lease"] + ["results"] * 8


async def test_a_worker_whose_lease_was_taken_has_to_come_again(channel: grpc.aio.Channel, store: TaskStore) -> None:
    """Its stream ends with LEASE_LOST; the next welcome has the new epoch, and how far its tasks are lost."""
    async with connected(channel) as worker:
        welcome = await worker.hello()
        await worker.do(operation(1, 7, START), operation(2, 8, START))
        await store.lose_worker("worker-1", welcome.epoch, "gone")
        await worker.beat()
        assert isinstance(await worker.refusal(), LeaseLost)
    async with connected(channel) as worker:
        again = await worker.hello()
        assert again.epoch > welcome.epoch
        assert (again.applied_sequence, again.lost_sequence) == (2, 2)
        assert (await worker.lease()).heartbeat == 1


async def test_a_zombie_is_refused_and_goes_on_with_new_work(serve: Serve, brief_store: TaskStore) -> None:
    """A worker that was silent for its lease (SIGSTOP) is lost; what it says of its tasks then is refused one by one.

    A new task among it is accepted, under the new epoch.
    """
    bound = await serve(store=brief_store)
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello()
        await worker.do(operation(1, 7, START))
        lost = await TaskServiceStub(channel).WaitTask(WaitTaskRequest(name="tasks/7"))
        assert (lost.state, lost.state_reason) == (Task.FAILED, "WORKER_LOST")
        cancel = (await worker.command()).cancel
        assert (cancel.task_id, cancel.reason, cancel.ended) == (7, "WORKER_LOST", True)
        answers = await worker.do(operation(2, 7, DONE), operation(3, 8, START))
        assert isinstance(answers[2], LeaseLost)
        assert answers[3] is None
    assert (await brief_store.get(7)).state is TaskState.FAILED


async def test_a_lost_task_runs_again_elsewhere(serve: Serve, brief_store: TaskStore) -> None:
    """With attempts left, the task of a silent worker goes to one that is there, under that one's epoch."""
    bound = await serve(store=brief_store)
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        async with connected(channel) as silent, connected(channel) as other:
            await silent.hello("worker-1", "research")
            created = await tasks.CreateTask(
                CreateTaskRequest(agent="agent", task_type="research", input="{}", max_attempts=2)
            )
            first = await silent.given()
            async for watched in tasks.WatchTask(WatchTaskRequest(name=created.name, after_generation=2)):
                lost = watched.event
                break
            assert (lost.state, lost.state_reason) == (Task.SUBMITTED, "WORKER_LOST")
            epoch = (await other.hello("worker-2", "research")).epoch
            while (response := await other.read_beating()).WhichOneof("message") != "command":
                pass
            again = response.command.run.task
            assert (again.task_id, again.attempt, again.epoch) == (first.task_id, 2, epoch)
            assert epoch > first.epoch


async def test_a_store_that_is_away_ends_the_stream(serve: Serve, store: TaskStore) -> None:
    """A lease that could not be renewed is not confirmed: the worker is sent away, to try elsewhere."""

    class DeafStore:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        async def renew(self, renewals: Sequence[Renewal]) -> frozenset[str]:
            raise StoreUnavailable("away")

    bound = await serve(store=DeafStore())
    async with grpc.aio.insecure_channel(bound.public) as channel, connected(channel) as worker:
        await worker.hello()
        await worker.beat()
        assert isinstance(await worker.refusal(), TaskManagerUnavailable)


async def test_renewals_go_together(store: TaskStore) -> None:
    """What arrives while one renewal is under way makes one more, for everybody; each is answered for itself."""
    entered, go_on = asyncio.Event(), asyncio.Event()
    sizes: list[int] = []

    class SlowStore:
        async def renew(self, renewals: Sequence[Renewal]) -> frozenset[str]:
            sizes.append(len(renewals))
            entered.set()
            await go_on.wait()
            return await store.renew(renewals)

    for number in range(50):
        await store.register_worker(Registration(f"worker-{number}", "agent"))
    renewals = Renewals(SlowStore())  # type: ignore[arg-type]
    first = asyncio.create_task(renewals.renew(Renewal("worker-0", 1)))
    await entered.wait()
    stale = asyncio.create_task(renewals.renew(Renewal("worker-1", 999)))
    rest = [asyncio.create_task(renewals.renew(Renewal(f"worker-{number}", number + 1))) for number in range(50)]
    rest.append(asyncio.create_task(renewals.renew(Renewal("worker-49", 7))))
    await asyncio.sleep(0)
    go_on.set()
    assert await first
    assert not await stale
    assert await asyncio.gather(*rest) == [True] * 49 + [False] * 2
    assert sizes == [1, 50]
