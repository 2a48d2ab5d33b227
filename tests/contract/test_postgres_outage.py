"""A PostgreSQL that stops, dies or does not answer: nothing that was acknowledged is lost, and it is used again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import TypeVar

import asyncpg
import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.operation import Operation
from outlast.core.policy import Policy
from outlast.core.state import TaskState
from outlast.core.worker import Registration
from outlastd.stores import postgres_connecting, postgres_pool
from outlastd.stores.port import TaskFilter
from outlastd.stores.postgres import PostgresTaskStore

from ..postgres_server import PostgresServer, execute
from .line import line_to
from .making import AT, DONE, HALF, START, operations, register, start_tasks

T = TypeVar("T")

BATCHES = 40


class Writer:
    """A worker that goes on through every outage, as a manager would have it."""

    def __init__(self, store: PostgresTaskStore, number: int) -> None:
        self._store = store
        self._first = number * 1000
        self.worker_id = f"worker-{number}"
        self.acknowledged = 0
        self.outages = 0

    def batch(self, number: int) -> list[Operation]:
        """Return the operations of a batch: a task begins, and the one before ends."""
        task_id = self._first + number
        done = [(task_id - 1, HALF), (task_id - 1, DONE)] if number > 1 else [(task_id, HALF), (task_id, HALF)]
        return [
            Operation(3 * (number - 1) + place, of, AT, action)
            for place, (of, action) in enumerate([(task_id, START), *done], 1)
        ]

    async def run(self) -> None:
        """Write every batch, each as often as it takes."""
        await self._insist(partial(self._store.register_worker, Registration(self.worker_id, "agent")))
        for number in range(1, BATCHES + 1):
            applied = await self._insist(partial(self._store.apply, self.worker_id, self.batch(number)))
            assert not applied.refusals
            self.acknowledged = number

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except StoreUnavailable:
                self.outages += 1
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_storm(postgres_server: PostgresServer, postgres_url: str, how: str) -> None:
    """While many write the server goes down, three times: every batch is there once, whole and in order."""
    store = await PostgresTaskStore.open(postgres_url)
    writers = [Writer(store, number) for number in range(1, 13)]
    storm = asyncio.gather(*(writer.run() for writer in writers))
    for progress in (5, 15, 25):
        while min(writer.acknowledged for writer in writers) < progress:
            await asyncio.sleep(0.005)
            assert not storm.done() or storm.exception() is None
        await asyncio.to_thread(postgres_server.stop if how == "restart" else postgres_server.kill)
        await asyncio.to_thread(postgres_server.start)
    await storm

    assert sum(writer.outages for writer in writers) > 0
    for writer in writers:
        for number in range(1, BATCHES + 1):
            task_id = writer.batch(number)[0].task_id
            events = await store.events(task_id, 0, 10)
            count = 1 + 2 * (number < BATCHES) + 2 * (number == 1)
            assert [event.generation for event in events] == [*range(1, count + 1)]
            assert (events[-1].state is TaskState.COMPLETED) == (number < BATCHES)
        assert (await register(store, writer.worker_id)).applied_sequence == 3 * BATCHES
    await store.close()


async def test_server_that_is_down(postgres_server: PostgresServer, postgres_url: str) -> None:
    """While the server is down everything is unavailable, with the cause; afterwards the same store works."""
    store = await PostgresTaskStore.open(postgres_url)
    await start_tasks(store, "worker", [1])
    postgres_server.stop()

    for ask in (
        lambda: store.apply("worker", operations(1, DONE, first=2)),
        lambda: store.get(1),
        lambda: store.claim("worker", 1, 1),
        store.clock,
    ):
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"."):
                await ask()
    store.announce([1])

    postgres_server.start()
    assert len((await store.apply("worker", operations(1, DONE, first=2))).changes) == 1
    assert (await store.get(1)).state is TaskState.COMPLETED
    await store.close()


async def test_close_while_the_server_is_down(postgres_server: PostgresServer, postgres_url: str) -> None:
    """A store whose server is gone can be closed."""
    store = await PostgresTaskStore.open(postgres_url)
    await register(store, "worker")
    postgres_server.kill()

    await store.close()


async def test_hints_after_a_restart(postgres_server: PostgresServer, postgres_url: str) -> None:
    """Who waits for hints hears that any task may have changed, once the connection for them is made again."""
    store = await PostgresTaskStore.open(postgres_url)
    other = await PostgresTaskStore.open(postgres_url)
    async with aclosing(store.hints()) as hints:
        heard = asyncio.ensure_future(anext(hints))
        while not heard.done():  # it listens
            other.announce([7])
            await asyncio.wait([heard], timeout=0.05)
        assert heard.result() == frozenset({7})

        postgres_server.restart()

        while await asyncio.wait_for(anext(hints), 30) is not None:
            pass
    await store.close()
    await other.close()


async def test_every_connection_is_busy(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets no connection in time is told so; those that have one get their answers."""
    monkeypatch.setattr(postgres_pool, "ACQUIRE_TIMEOUT", 1.0)
    store = await PostgresTaskStore.open(postgres_url)
    other = await asyncpg.connect(postgres_url)
    await other.execute("BEGIN; LOCK TABLE outlast.tasks")

    asked = [asyncio.ensure_future(store.list(TaskFilter(), 1)) for _ in range(postgres_pool.POOL_SIZE + 3)]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_EXCEPTION)
    await other.close()

    assert "no connection to the database within 1 s" in str(done.pop().exception())
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert answers.count([]) == postgres_pool.POOL_SIZE
    await store.close()


async def test_silence(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing any more, or a network that swallows it, is an outage in time."""
    monkeypatch.setattr(postgres_connecting, "COMMAND_TIMEOUT", 0.5)
    monkeypatch.setattr(postgres_connecting, "CONNECT_TIMEOUT", 0.5)
    monkeypatch.setattr(postgres_pool, "RELEASE_TIMEOUT", 0.5)
    async with line_to(postgres_url) as (line, url):
        store = await PostgresTaskStore.open(url)
        await start_tasks(store, "worker", [1])
        line.open.clear()

        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            await store.apply("worker", operations(1, HALF, first=2))

        line.open.set()
        assert (await register(store, "worker")).applied_sequence in (1, 2)  # nobody knew
        await store.apply("worker", operations(1, HALF, DONE, first=2))
        assert [event.generation for event in await store.events(1, 0, 10)] == [1, 2, 3]
        await store.close()


async def test_rows_that_are_locked_for_long(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that somebody keeps is an outage for who waits, not for ever."""
    monkeypatch.setitem(postgres_connecting._SETTINGS, "lock_timeout", "200ms")
    store = await PostgresTaskStore.open(postgres_url)
    await start_tasks(store, "worker", [1])
    other = await asyncpg.connect(postgres_url)
    await other.execute("BEGIN; SELECT FROM outlast.workers FOR UPDATE")

    with pytest.raises(StoreUnavailable, match="lock timeout"):
        await store.apply("worker", operations(1, DONE, first=2))

    await other.close()
    assert len((await store.apply("worker", operations(1, DONE, first=2))).changes) == 1
    await store.close()


async def test_somebody_stops_in_a_transaction(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is stopped while it holds locks loses them: the database ends its transaction."""
    monkeypatch.setitem(postgres_connecting._SETTINGS, "idle_in_transaction_session_timeout", "200ms")
    store = await PostgresTaskStore.open(postgres_url)
    await start_tasks(store, "worker", [1])
    stopped = await postgres_connecting.connect(postgres_url)
    await stopped.execute("BEGIN; SELECT FROM outlast.workers FOR UPDATE")

    assert len((await store.apply("worker", operations(1, DONE, first=2))).changes) == 1

    stopped.terminate()
    await store.close()


async def test_commits_wait_for_the_disk(postgres_url: str) -> None:
    """A database whose settings say that commits need not be durable is told that ours must."""
    database = postgres_url.rpartition("/")[2]
    await execute(postgres_url, f"ALTER DATABASE {database} SET synchronous_commit = off")

    connection = await postgres_connecting.connect(postgres_url)
    try:
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
    finally:
        await connection.close()


async def test_leases_go_by_the_clock_of_the_database(postgres_url: str) -> None:
    """A lease is set and found to have run out by the clock of the database, not by this machine's."""
    policy = Policy(lease_ttl=timedelta(seconds=0.3))
    store = await PostgresTaskStore.open(postgres_url, policy)
    before = await store.clock()
    worker = await register(store, "worker")
    after = await store.clock()
    assert worker.lease_until is not None
    assert before <= worker.lease_until - policy.lease_ttl <= after

    await store.apply("worker", operations(1, START))
    changes: Sequence[Change] = []
    async with asyncio.timeout(30):
        while not changes:
            await asyncio.sleep(0.01)
            changes = await store.expire_workers(frozenset())

    assert changes[0].task.state_reason == "WORKER_LOST"
    assert worker.lease_until < await store.clock()
    await store.close()
