"""The notifier: no wake-up is lost, and nothing is kept of tasks that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from outlast.core.errors import TaskManagerUnavailable
from outlast.core.event import EventKind, TaskEvent
from outlast.core.operation import Report
from outlast.core.state import TaskState
from outlast.core.task import Progress
from outlast.core.value import evolve
from outlast.core.worker import Registration
from outlast.v1.task_service_pb2 import CreateTaskRequest, WatchTaskRequest, WatchTaskResponse
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.port import TaskStore
from outlastd.task_manager.notifier import AT_ONCE, MAX_HELD, MAX_HELD_BYTES, Notifier
from outlastd.task_manager.watching import Watching

from .speaking import AT, START, operation

HALF = Report(Progress(0.5, "half way", AT))


async def test_a_change_between_reading_and_waiting_is_not_missed() -> None:
    """A bell that rang after it was cleared ends the wait at once."""
    notifier = Notifier()
    with notifier.listen(7) as bell:
        bell.clear()
        notifier.wake(7)
        async with asyncio.timeout(1):
            assert await bell.wait()
        notifier.close()
        with pytest.raises(TaskManagerUnavailable):
            bell.clear()


async def test_watchers_that_hang_up_are_forgotten(store: TaskStore) -> None:
    """After the calls have ended nobody listens, whether they waited or were being written to."""
    notifier = Notifier()
    await store.register_worker(Registration("worker", "agent"))
    await store.apply("worker", [operation(1, 7, START)])
    watching = Watching(store, notifier)
    waiting = asyncio.ensure_future(watching.wait(7, 60))
    watch = watching.watch(7, 0)
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


async def test_changes_of_others_wake_nobody_else(store: TaskStore) -> None:
    """A thousand watchers of tasks and sessions that do not change read nothing when another task does."""
    notifier = Notifier()
    await store.register_worker(Registration("worker", "agent"))
    await store.apply("worker", [operation(1, 7, START)])
    with ExitStack() as stack:
        others = [stack.enter_context(notifier.listen(key)) for key in [*range(100, 1_000), *map(str, range(100))]]
        mine = stack.enter_context(notifier.listen(7))
        notifier.note(await store.get(7))
        assert await mine.wait()
        assert [bell for bell in others if await bell.wait(0)] == []


async def test_a_hint_that_names_no_task_wakes_everybody_in_turn() -> None:
    """All bells ring, few of them at once; a second hint right after it costs nothing more."""
    notifier = Notifier()
    with ExitStack() as stack:
        bells = [stack.enter_context(notifier.listen(key)) for key in range(AT_ONCE + 20)]
        notifier.hint(None)
        notifier.hint(None)
        assert await bells[0].wait()
        rung = [await bell.wait(0) for bell in bells]
        assert all(rung[:AT_ONCE])
        assert not all(rung)
        assert all(await asyncio.gather(*(bell.wait() for bell in bells)))


async def test_many_watchers_of_a_task_read_it_once_each(store: TaskStore) -> None:
    """What happens while they watch is given to them as it is published: nobody reads the store for it."""
    notifier = Notifier()
    await store.register_worker(Registration("worker", "agent"))
    await store.apply("worker", [operation(1, 7, START)])
    reads = 0
    read = store.events

    async def counted(task_id: int, after_generation: int, limit: int) -> Sequence[TaskEvent]:
        nonlocal reads
        reads += 1
        return await read(task_id, after_generation, limit)

    store.events = counted  # type: ignore[method-assign]
    watching = Watching(store, notifier)
    watches = [watching.watch(7, 0) for _ in range(20)]
    assert [(await anext(watch)).generation for watch in watches] == [1] * 20
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await asyncio.sleep(0)
    for sequence in (2, 3):
        for change in (await store.apply("worker", [operation(sequence, 7, HALF)])).changes:
            notifier.note(change.task, change.event)

    seconds = await asyncio.gather(*waiting)
    thirds = [await anext(watch) for watch in watches]
    for watch in watches:
        await watch.aclose()

    assert reads == 20
    assert (seconds, thirds) == ([seconds[0]] * 20, [thirds[0]] * 20)
    assert [seconds[0], thirds[0]] == await read(7, 1, 10)


async def test_a_watcher_that_was_told_of_a_later_event_reads(store: TaskStore) -> None:
    """An event whose predecessor nobody has told of is not shown before it."""
    notifier = Notifier()
    await store.register_worker(Registration("worker", "agent"))
    await store.apply("worker", [operation(1, 7, START)])
    watch = Watching(store, notifier).watch(7, 0)
    assert (await anext(watch)).generation == 1
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await store.apply("worker", [operation(2, 7, HALF)])
    for change in (await store.apply("worker", [operation(3, 7, HALF)])).changes:
        notifier.note(change.task, change.event)

    assert (await waiting).generation == 2
    assert (await anext(watch)).generation == 3
    await watch.aclose()


async def test_a_bell_holds_few_events() -> None:
    """A watcher who is busy for long has not all that happens held for him: he reads instead."""
    notifier = Notifier()
    with notifier.listen(7) as bell:
        event = TaskEvent(7, 1, EventKind.PROGRESSED, datetime.now(UTC), TaskState.WORKING)
        for generation in range(1, MAX_HELD + 1):
            bell.ring(evolve(event, generation=generation))
        assert [each.generation for each in bell.take(0) or ()] == [*range(1, MAX_HELD + 1)]
        for generation in range(1, MAX_HELD + 2):
            bell.ring(evolve(event, generation=generation))
        assert bell.take(0) is None
        assert bell.take(0) == []


async def test_a_bell_holds_few_bytes() -> None:
    """Output that is large is not held for a watcher who is busy, however few events it is; what is small is."""
    notifier = Notifier()
    chunks = b"x" * (MAX_HELD_BYTES // 2)
    output = TaskEvent(7, 1, EventKind.OUTPUT, datetime.now(UTC), TaskState.WORKING, output=chunks)
    with notifier.listen(7) as bell:
        for _ in range(2):
            for generation in (1, 2):
                bell.ring(evolve(output, generation=generation))
            assert [each.generation for each in bell.take(0) or ()] == [1, 2]
        for generation in (1, 2, 3, 4):
            bell.ring(evolve(output, generation=generation))
        assert bell.take(0) is None
        assert bell.take(0) == []
