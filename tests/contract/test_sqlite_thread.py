"""The thread of a store: who waits for it always gets an answer."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.state import TaskState
from outlastd.stores.port import Applied, TaskStore
from outlastd.stores.thread import MAX_GROUP, ConnectionThread, Job

from .conftest import Backend
from .making import HALF, START, operations, register, start_tasks


def connect() -> sqlite3.Connection:
    """Connect to a database in memory."""
    return sqlite3.connect(":memory:")


async def test_groups() -> None:
    """Jobs that arrive while others are served are served together next, in order and not too many at a time."""
    groups: list[int] = []
    go = threading.Event()

    def serve(_: sqlite3.Connection, jobs: Sequence[Job]) -> None:
        go.wait()
        groups.append(len(jobs))
        for job in jobs:
            job.result = len(groups)

    thread = ConnectionThread("outlast-test", connect, serve)
    await thread.start()
    first = asyncio.ensure_future(thread.do(lambda _: None))
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(thread.do(lambda _: None)) for _ in range(MAX_GROUP + 9)]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(first, *others)
    await thread.stop()

    assert sum(groups) == MAX_GROUP + 10
    assert max(groups) <= MAX_GROUP
    assert len(groups) <= 3
    assert answers == sorted(answers)  # type: ignore[type-var]


async def test_too_many_wait() -> None:
    """Beyond the limit a job is refused at once; those that wait are served."""
    go = threading.Event()

    def serve(_: sqlite3.Connection, jobs: Sequence[Job]) -> None:
        go.wait()

    thread = ConnectionThread("outlast-test", connect, serve, max_waiting=3)
    await thread.start()
    tries = [asyncio.ensure_future(thread.do(lambda _: None)) for _ in range(10)]
    await asyncio.sleep(0)
    go.set()
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    await thread.stop()

    refused = [outcome for outcome in outcomes if isinstance(outcome, StoreUnavailable)]
    assert 6 <= len(refused) <= 7  # one may have been taken while the others came
    assert "3 requests wait" in str(refused[0])


async def test_broken_server() -> None:
    """An error of the thread's own work reaches everybody who waits, and the thread goes on."""

    def serve(_: sqlite3.Connection, jobs: Sequence[Job]) -> None:
        raise ZeroDivisionError

    thread = ConnectionThread("outlast-test", connect, serve)
    await thread.start()

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await thread.do(lambda _: None)
    await thread.stop()


async def test_failed_connection() -> None:
    """A thread that cannot connect says why and ends."""

    def fail() -> sqlite3.Connection:
        raise PermissionError("not yours")

    thread = ConnectionThread("outlast-test", fail, lambda _, __: None)

    with pytest.raises(PermissionError, match="not yours"):
        await thread.start()
    await thread.stop()


async def test_no_thread_is_left(sqlite: Backend) -> None:
    """The threads of a store end with it."""
    store = await sqlite.open()
    assert {"outlast-store", "outlast-store-read"} <= {thread.name for thread in threading.enumerate()}

    await store.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("outlast-store")]


async def test_loop_that_goes_away(sqlite: Backend) -> None:
    """When a loop is closed before its store, what was asked is done, and the store can still be closed."""

    async def leave() -> TaskStore:
        store = await sqlite.open()
        asyncio.ensure_future(register(store, "worker"))  # noqa: RUF006 - nobody waits for it
        await asyncio.sleep(0)
        return store

    store = await asyncio.to_thread(asyncio.run, leave())
    await store.close()

    again = await sqlite.open()
    assert (await register(again, "next")).epoch == 2


async def test_changes_are_told_in_the_order_in_which_they_were_made(sqlite: Backend, database: Path) -> None:
    """What is committed together is done, and told to who waits, in the order in which it was asked for."""
    store = await sqlite.open()
    worker = await register(store, "worker")
    await store.apply("worker", operations(1, START))
    for number in (2, 3):
        await start_tasks(store, f"other-{number}", [number])
    told: list[tuple[int, int]] = []

    async def tell(asked: Awaitable[Applied | Sequence[Change]]) -> None:
        answer = await asked
        changes = answer.changes if isinstance(answer, Applied) else answer
        told.extend((change.task.task_id, change.event.generation) for change in changes)

    with closing(sqlite3.connect(database, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")  # until all of them wait
        asked = asyncio.gather(
            store.renew([]),
            tell(store.lose_worker("worker", worker.epoch, "gone")),
            tell(store.apply("worker", operations(4, START, first=2))),
            *(tell(store.apply(f"other-{number}", operations(number, HALF, first=2))) for number in (2, 3)),
        )
        await asyncio.sleep(0)
        lock.execute("ROLLBACK")
    await asked

    # Task 4 was begun after the worker's tasks were taken away, and is none of them.
    assert sorted(told) == [(1, 2), (2, 2), (3, 2), (4, 1)]
    assert (await store.get(4)).state is TaskState.WORKING
