"""The worker's lease against real task managers: outages, replicas, a lease that is lost, shutdown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from outlast.app import App
from outlast.core.operation import Finish, Output, Report, Start
from outlast.core.policy import DEFAULT_POLICY
from outlast.core.state import StateReason, TaskState
from outlast.core.task import Progress, Task
from outlast.tasks.lease import WorkerLease
from outlast.tasks.stream import WorkerStream
from outlast.tasks.tracked import TrackedTask
from outlastd.launch.drain import begin_to_drain, drain
from outlastd.launch.stop_signal import StopSignal

from .conftest import Manager, worker

PATIENCE = 30.0
LEASE = 1.0
POLICY = replace(DEFAULT_POLICY, lease_ttl=timedelta(seconds=LEASE))
DONE = Finish(TaskState.COMPLETED, result=b'"done"')


class Clock:
    """The lease's clock, which a test may set forward: the process was stopped, or cut off for long."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.monotonic() + self.ahead


@pytest.fixture
async def one(folder: Path) -> AsyncIterator[Manager]:
    """A replica with a short lease."""
    manager = Manager(folder, "one", POLICY)
    await manager.start()
    yield manager
    await manager.stop()


@pytest.fixture
async def other(folder: Path) -> AsyncIterator[Manager]:
    """Another replica on the same store."""
    manager = Manager(folder, "other", POLICY)
    await manager.start()
    yield manager
    await manager.stop()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what comes by itself."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (what is waited for are plain attributes)
            await asyncio.sleep(0.01)


async def started(stream: WorkerStream) -> None:
    """Start the stream and wait until it is ready."""
    stream.start()
    await stream.ready(PATIENCE)


async def recorded(manager: Manager, task: TrackedTask, *, terminal: bool = False) -> Task:
    """Return a task's record, once it is terminal if that is what counts."""
    async with asyncio.timeout(PATIENCE):
        while True:
            record = await manager.store.get(task.task_id)
            if record.state.terminal or not terminal:
                return record
            await asyncio.sleep(0.01)


async def epoch(manager: Manager) -> int:
    """Return the epoch of the one worker that lives."""
    (living,) = await manager.store.living_workers()
    return living.epoch


async def test_an_outage_longer_than_the_lease_loses_nothing(app: App, one: Manager) -> None:
    """The task goes on without its manager, the worker keeps its epoch, and the end that came meanwhile is recorded."""
    ledger = app.runtime.ledger
    async with worker(app, one) as stream:
        await started(stream)
        before, during = ledger.start(Start("before")), ledger.start(Start("during"))
        await stream.acknowledged(ledger.watermark, PATIENCE)
        first_epoch = await epoch(one)

        await one.stop()
        await asyncio.sleep(1.5 * LEASE)  # what has to pass is the time of the lease
        ledger.finish(during, DONE)
        await one.start()
        await stream.acknowledged(ledger.watermark, PATIENCE)
        ledger.finish(before, DONE)

        for task in (before, during):
            assert (await recorded(one, task, terminal=True)).state is TaskState.COMPLETED
        assert await epoch(one) == first_epoch


async def test_a_worker_that_is_cut_off_lets_others_run_what_they_may(app: App, one: Manager) -> None:
    """By its own clock the lease is over: an attempt with others to follow ends, and is made again; others go on."""
    attempts: list[int] = []

    @app.async_task
    async def wait(step: int) -> int:
        return step

    ledger = app.runtime.ledger
    async with worker(app, one) as stream:
        await started(stream)
        only = ledger.start(Start("only"))
        first = ledger.start(
            Start("wait", max_attempts=2, input=b'{"args": [7], "kwargs": {}}', backoff=timedelta()),
            on_cancel=lambda: attempts.append(1),
        )
        await stream.acknowledged(ledger.watermark, PATIENCE)

        await one.stop()
        await until(lambda: first.finish is not None)
        assert attempts == [1]
        assert only.finish is None
        assert first.finish is not None
        assert first.finish.state_reason == StateReason.WORKER_LOST
        await one.start()

        again = await recorded(one, first, terminal=True)
        assert (again.state, again.attempt, again.result) == (TaskState.COMPLETED, 2, b"7")
        assert (await recorded(one, only)).state is TaskState.WORKING


async def test_a_worker_goes_to_the_other_replica(app: App, one: Manager, other: Manager) -> None:
    """When the one it is connected to goes away the next one takes over, under the same epoch, and nothing is lost."""
    ledger = app.runtime.ledger
    async with worker(app, one, other) as stream:
        await started(stream)
        tasks = [ledger.start(Start("work")) for _ in range(100)]
        first_epoch = await epoch(other)

        stopping = asyncio.create_task(one.stop())
        for task in tasks:
            ledger.finish(task, DONE)
            await asyncio.sleep(0)
        await stopping
        await stream.acknowledged(ledger.watermark, PATIENCE)

        for task in tasks:
            record = await recorded(other, task)
            assert (record.state, record.generation) == (TaskState.COMPLETED, 2)
        assert await epoch(other) == first_epoch


async def test_a_lost_lease_takes_the_tasks_and_the_worker_goes_on(app: App, one: Manager) -> None:
    """Somebody took the lease: the worker hears of it, stops what it held, and makes new tasks under the next epoch."""
    ledger, interrupted = app.runtime.ledger, list[str]()
    async with worker(app, one) as stream:
        await started(stream)
        held = ledger.start(Start("held"), on_cancel=lambda: interrupted.append("held"))
        await stream.acknowledged(ledger.watermark, PATIENCE)
        first_epoch = await epoch(one)

        await one.store.lose_worker("worker", first_epoch, "taken by the test")
        fresh = ledger.start(Start("fresh"))
        await until(lambda: interrupted)
        await stream.acknowledged(ledger.watermark, PATIENCE)

        assert held.finish is not None
        assert held.finish.state_reason == StateReason.WORKER_LOST
        assert ledger.live() == [fresh]
        lost = await recorded(one, held)
        assert (lost.state, lost.state_reason) == (TaskState.FAILED, StateReason.WORKER_LOST)
        record = await recorded(one, fresh)
        assert (record.state, record.epoch) == (TaskState.WORKING, await epoch(one))
        assert record.epoch > first_epoch


async def test_a_healthy_worker_keeps_its_lease(app: App, one: Manager, other: Manager) -> None:
    """Several leases later nobody has taken it, though another replica looks for workers to reap."""
    ledger = app.runtime.ledger
    async with worker(app, one) as stream:
        await started(stream)
        task = ledger.start(Start("work"))

        await asyncio.sleep(4 * LEASE)  # the time of some leases, with the reaper's own patience

        assert (await recorded(other, task)).state is TaskState.WORKING
        ledger.finish(task, DONE)
        assert (await recorded(other, task, terminal=True)).state is TaskState.COMPLETED


async def test_a_process_that_was_stopped_listens_before_it_gives_up(app: App, one: Manager) -> None:
    """Its clock has jumped over the end of the lease: it gives a sign of life, and nothing is canceled."""
    ledger, clock, interrupted = app.runtime.ledger, Clock(), list[str]()
    async with worker(app, one, lease=WorkerLease(clock)) as stream:
        await started(stream)
        task = ledger.start(Start("work", max_attempts=2, input=b"{}"), on_cancel=lambda: interrupted.append("work"))
        await stream.acknowledged(ledger.watermark, PATIENCE)

        clock.ahead = 3_600.0
        await asyncio.sleep(LEASE)  # in which the worker looks at its clock

        assert interrupted == []
        assert ledger.live() == [task]


async def test_a_loop_of_reports_and_output_is_a_few_events(app: App, one: Manager) -> None:
    """10,000 of each: progress is the newest, output is complete and in order."""
    ledger = app.runtime.ledger
    async with worker(app, one) as stream:
        await started(stream)
        task = ledger.start(Start("work"))
        for step in range(10_000):
            ledger.record(task, Report(Progress(step / 10_000, "", task.started_at)))
            await ledger.room(task, 16)
            ledger.record(task, Output(b"[%d]" % step))
            if step % 100 == 0:
                await asyncio.sleep(0)
        ledger.finish(task, DONE)
        await stream.acknowledged(ledger.watermark, PATIENCE)
        record = await recorded(one, task, terminal=True)

        events = await one.store.events(task.task_id, 0, 100_000)
        chunks = b",".join(event.output[1:-1] for event in events if event.output)
        assert chunks == b",".join(b"%d" % step for step in range(10_000))
        assert record.progress is not None
        assert record.progress.fraction == 0.9999
        assert record.generation == len(events) < 1_000


async def test_a_forced_cancel_frees_the_worker(app: App, one: Manager) -> None:
    """The task is ended although its code does not follow: it is let go of here too, and says nothing later."""
    ledger, interrupted = app.runtime.ledger, list[str]()
    async with worker(app, one) as stream:
        await started(stream)
        task = ledger.start(Start("deaf"), on_cancel=lambda: interrupted.append("deaf"))
        await stream.acknowledged(ledger.watermark, PATIENCE)

        await one.store.request_cancel(task.task_id, force=True, grace=timedelta(seconds=0.1))
        await until(lambda: not ledger.busy)

        assert interrupted == ["deaf"]
        assert task.state is TaskState.CANCELED
        assert ledger.finish(task, DONE) is None
        record = await recorded(one, task)
        assert (record.state, record.state_reason) == (TaskState.CANCELED, StateReason.CANCEL_FORCED)


async def test_shutdown_is_on_record_first_and_gives_back_what_waits(app: App, one: Manager) -> None:
    """Draining is committed, tasks that wait with their arguments are anybody's, the rest has the grace (promise 6)."""
    ledger, stop = app.runtime.ledger, StopSignal(5.0)
    interrupted: list[str] = []

    def start(task_type: str, *, max_attempts: int = 1) -> TrackedTask:
        start = Start(task_type, max_attempts=max_attempts, input=b"{}")
        return ledger.start(start, on_cancel=lambda: interrupted.append(task_type))

    async with worker(app, one) as stream:
        await started(stream)
        waits = ledger.submit(Start("waits", input=b"{}"), StateReason.WORKER_BUSY)
        quick, slow, again = start("quick"), start("slow"), start("again", max_attempts=2)
        await stream.acknowledged(ledger.watermark, PATIENCE)

        await begin_to_drain(ledger, stream, PATIENCE, stop)
        (living,) = await one.store.living_workers()
        assert living.draining
        assert ledger.draining
        assert waits.finish is not None

        ledger.finish(quick, DONE)
        await drain(ledger, 0.1, stop)
        await stream.acknowledged(ledger.watermark, PATIENCE)

        records = [await recorded(one, task) for task in (waits, quick, slow, again)]
        assert [(record.state, record.state_reason, record.worker_id) for record in records] == [
            (TaskState.SUBMITTED, "", ""),
            (TaskState.COMPLETED, "", "worker"),
            (TaskState.FAILED, StateReason.WORKER_SHUTDOWN, "worker"),
            (TaskState.SUBMITTED, StateReason.WORKER_SHUTDOWN, ""),
        ]
        assert interrupted == ["slow", "again"]
        assert not ledger.busy


async def test_without_a_manager_draining_waits_for_nobody(app: App, one: Manager) -> None:
    """Its time is bounded: the process has to come to its end."""
    async with worker(app, one) as stream:
        await started(stream)
        await one.stop()

        await stream.drain(0.05)

        assert app.runtime.ledger.draining
