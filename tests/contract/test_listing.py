"""Lists: filters, order, pages."""

from __future__ import annotations

from itertools import product

import pytest

from outlast.core.errors import TaskNotFound
from outlast.core.operation import Action, Operation, Start
from outlast.core.state import TaskState
from outlastd.stores.port import Position, TaskFilter, TaskStore

from .clock import FakeClock
from .making import AT, CANCELED, CHUNK, DONE, FAILED, HALF, START, operations, register, start_tasks, submission

ENDS = (None, DONE, FAILED, CANCELED)


async def fill(store: TaskStore, clock: FakeClock) -> None:
    """Record 48 tasks of two agents, three sessions and ten states; three of them a moment."""
    task_id = sequence = 0
    for agent in ("agent", "other"):
        await register(store, agent, agent)
    for agent, session_id, end in product(("agent", "other"), ("", "s-1", "s-2"), (*ENDS, *ENDS)):
        task_id, sequence = task_id + 1, sequence + 2
        if task_id % 3 == 0:
            clock.move(0.001)
        batch = [Operation(sequence, task_id, AT, Start("research", session_id=session_id))]
        if end is not None:
            batch.append(Operation(sequence + 1, task_id, AT, end))
        await store.apply(agent, batch)
    await store.create(submission(1000, session_id="s-1"))


async def pages(store: TaskStore, which: TaskFilter, size: int) -> list[int]:
    """Read a list to its end; return the ids."""
    found: list[int] = []
    after = None
    while page := await store.list(which, size, after):
        assert len(page) <= size
        found += [task.task_id for task in page]
        assert page[-1].created_at is not None
        after = Position(page[-1].created_at, page[-1].task_id)
    return found


async def test_filters(store: TaskStore, clock: FakeClock) -> None:
    """Every filter, in pages, gives exactly the tasks that it lets through, newest first."""
    await fill(store, clock)
    everything = await store.list(TaskFilter(), 1000)
    assert len(everything) == 49
    assert everything == sorted(everything, key=lambda task: (task.created_at, task.task_id), reverse=True)
    some_states = [
        frozenset[TaskState](),
        frozenset({TaskState.COMPLETED}),
        frozenset({TaskState.WORKING, TaskState.SUBMITTED, TaskState.FAILED}),
        frozenset(TaskState),
    ]

    for states, session_id, agent in product(some_states, ("", "s-1", "s-9"), ("", "agent", "nobody")):
        expected = [
            task.task_id
            for task in everything
            if (not states or task.state in states)
            and session_id in ("", task.session_id)
            and agent in ("", task.agent)
        ]
        assert expected == await pages(store, TaskFilter(states, session_id, agent), 4)


async def test_pages_are_stable(store: TaskStore, clock: FakeClock) -> None:
    """Tasks that are recorded while somebody pages, or that change, move no task to another page."""
    await start_tasks(store, "worker", range(1, 11))
    first = await store.list(TaskFilter(), 5)
    clock.move()
    await start_tasks(store, "another", range(11, 21))
    await store.apply("worker", operations(3, DONE, first=11))

    assert first[-1].created_at is not None
    rest = await store.list(TaskFilter(), 10, Position(first[-1].created_at, first[-1].task_id))

    assert [task.task_id for task in first] == [10, 9, 8, 7, 6]
    assert [task.task_id for task in rest] == [5, 4, 3, 2, 1]


async def test_events_in_pages(store: TaskStore) -> None:
    """Events are read from a generation on, in order, a page at a time."""
    ten: list[Action] = [HALF, CHUNK] * 5
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, *ten, DONE, first=2))

    assert [event.generation for event in await store.events(1, 0, 5)] == [1, 2, 3, 4, 5]
    assert [event.generation for event in await store.events(1, 5, 5)] == [6, 7, 8, 9, 10]
    assert [event.generation for event in await store.events(1, 10, 5)] == [11, 12]
    assert await store.events(1, 12, 5) == []


async def test_result_comes_with_the_last_event_only(store: TaskStore) -> None:
    """The event that completes a task carries its result; those before it do not."""
    await start_tasks(store, "worker", [1])
    await store.apply("worker", operations(1, HALF, DONE, first=2))

    assert [None, None, DONE.result] == [event.result for event in await store.events(1, 0, 10)]


async def test_no_such_task(store: TaskStore) -> None:
    """A task that does not exist has no events and cannot be read."""
    with pytest.raises(TaskNotFound):
        await store.get(1)
    with pytest.raises(TaskNotFound):
        await store.events(1, 0, 10)


async def test_reads_see_answered_writes(store: TaskStore) -> None:
    """What a write has answered, a read sees at once."""
    await register(store, "worker")
    for number in range(1, 51):
        await store.apply("worker", operations(number, START, first=number))
        assert number == (await store.get(number)).task_id
        assert number == (await store.list(TaskFilter(), 1))[0].task_id
