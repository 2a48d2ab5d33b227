"""The events of all tasks of a session, in the order of their commits."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import InvalidField
from outlast.core.event import TaskEvent
from outlast.core.operation import Action, Operation, Start
from outlastd.stores.port import SessionEvent, TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import AT, CHUNK, DONE, HALF, operations, register, start_tasks, submission

MINE = Start("research", session_id="mine")


async def read(store: TaskStore, after: str = "", size: int = 3) -> list[SessionEvent]:
    """Read the events of a session from a cursor on to the last one, in pages."""
    found: list[SessionEvent] = []
    while page := await store.session_events("mine", found[-1].cursor if found else after, size):
        assert len(page) <= size
        found += page
    return found


async def test_order(store: TaskStore) -> None:
    """The events of several tasks, mixed in one batch and in several, come in the order in which they were written."""
    await start_tasks(store, "other", [10], Start("research", session_id="other"))
    await start_tasks(store, "none", [11])
    await register(store, "worker")
    actions: list[tuple[int, Action]] = [(1, MINE), (2, MINE), (1, HALF), (2, DONE), (1, CHUNK)]
    await store.apply(
        "worker", [Operation(number, task_id, AT, action) for number, (task_id, action) in enumerate(actions, 1)]
    )
    await store.create(submission(3, session_id="mine"))
    await store.request_cancel(3)
    await store.apply("worker", operations(1, DONE, first=6))

    found = await read(store)

    assert [(event.event.task_id, event.event.generation) for event in found] == [
        *((1, 1), (2, 1), (1, 2), (2, 2), (1, 3)),
        *((3, 1), (3, 2), (1, 4)),
    ]
    assert len({event.cursor for event in found}) == len(found)
    for event in found:
        assert [event.event] == await store.events(event.event.task_id, event.event.generation - 1, 1)
        assert event.cursor.isascii()
        assert event.cursor.isprintable()


async def test_cursor(store: TaskStore) -> None:
    """From every cursor on exactly the events after it are read."""
    await start_tasks(store, "worker", [1, 2, 3], MINE)
    await store.apply("worker", operations(2, HALF, CHUNK, DONE, first=4))
    found = await read(store)
    assert len(found) == 6

    for position, event in enumerate(found, 1):
        assert found[position:] == await read(store, event.cursor)


async def test_agent(store: TaskStore) -> None:
    """With an agent only its tasks' events are read; a session is not an agent's own."""
    for agent, task_id in [("a", 1), ("b", 2), ("a", 3)]:
        await store.create(submission(task_id, agent=agent, session_id="mine"))

    events = await store.session_events("mine", "", 10, agent="a")

    assert [event.event.task_id for event in events] == [1, 3]
    assert [event.event.task_id for event in await read(store)] == [1, 2, 3]
    assert await store.session_events("mine", events[-1].cursor, 10, agent="a") == []


async def test_session_without_events(store: TaskStore) -> None:
    """A session that has none has none; tasks without a session are no session's."""
    await start_tasks(store, "worker", [1])

    assert await store.session_events("mine", "", 10) == []
    assert await store.session_events("", "", 10) == []


@pytest.mark.parametrize("cursor", ["x", " ", "-1", "1.5", "e", "e-1", "9" * 40, "0x1", "\u0661", "\udfff", "a\x00b"])
async def test_cursor_of_somebody_else(store: TaskStore, cursor: str) -> None:
    """What the store has not made is no cursor, and is said to be none."""
    await start_tasks(store, "worker", [1], MINE)

    with pytest.raises(InvalidField, match="cursor"):
        await store.session_events("mine", cursor, 10)


async def test_everybody_writes_while_one_reads(backend: Backend, clock: FakeClock) -> None:
    """Whoever reads on from the last cursor while several stores write sees every event once, in its task's order."""
    stores = [await backend.open(), await backend.open(), await backend.open()]
    rounds, workers = 10, 6

    async def work(number: int) -> None:
        store, worker_id = stores[number % 2], f"worker-{number}"
        await register(store, worker_id)
        for turn in range(rounds):
            task_id = number * 1000 + turn + 1
            await store.apply(worker_id, operations(task_id, MINE, HALF, first=3 * turn + 1))
            await store.apply(worker_id, operations(task_id, DONE, first=3 * turn + 3))

    seen: list[TaskEvent] = []

    async def follow() -> None:
        cursor = ""
        while len(seen) < rounds * workers * 3:
            page = await stores[2].session_events("mine", cursor, 7)
            seen.extend(found.event for found in page)
            cursor = page[-1].cursor if page else cursor
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(follow(), *(work(number) for number in range(workers))), 60)

    assert len({(event.task_id, event.generation) for event in seen}) == len(seen)
    generations: dict[int, list[int]] = {}
    for event in seen:
        generations.setdefault(event.task_id, []).append(event.generation)
    assert set(map(tuple, generations.values())) == {(1, 2, 3)}
