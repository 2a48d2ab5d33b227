"""The reaper: who is silent for a lease is lost, and nobody who could not have been heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.state import TaskState
from outlast.core.worker import Registration, Renewal
from outlastd.stores.port import TaskStore
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.projection import project
from outlastd.task_manager.reaper import MARGIN_SECONDS, TICK_SECONDS, Reaper

from .clocks import FakeClock
from .speaking import START, Seen, operation

TTL = 15


class Scene:
    """A store with a worker that holds a task, and a reaper, by one clock."""

    def __init__(self, store: TaskStore, clock: FakeClock, seen: Seen) -> None:
        self.store = store
        self.clock = clock
        self._seen = seen
        self.reaper = self.make_reaper(store)

    def make_reaper(self, store: TaskStore, *spare: str) -> Reaper:
        """Return a reaper that has just been started."""

        def publish(changes: Iterable[Change]) -> None:
            for change in changes:
                project(change, self._seen)

        return Reaper(store, publish, spare=frozenset(spare), clock=self.clock.monotonic)

    async def look(self, seconds: int, reaper: Reaper | None = None) -> int:
        """Let seconds pass, with a look after each; return how many tasks were taken."""
        taken = 0
        for _ in range(seconds):
            self.clock.pass_(TICK_SECONDS)
            taken += await (reaper or self.reaper).look()
        return taken

    async def renew(self, worker_id: str = "silent", epoch: int = 1) -> bool:
        """Renew a worker's lease."""
        return worker_id in await self.store.renew([Renewal(worker_id, epoch)])


@pytest.fixture
async def scene(tmp_path: Path, seen: Seen) -> AsyncIterator[Scene]:
    """A store with one worker, whose lease begins now."""
    clock = FakeClock()
    store = await SQLiteTaskStore.open(tmp_path / "outlast.db", Policy(lease_ttl=timedelta(seconds=TTL)), clock.now)
    await store.register_worker(Registration("silent", "agent"))
    await store.apply("silent", [operation(1, 7, START)])
    yield Scene(store, clock, seen)
    await store.close()


async def test_a_silent_worker_is_lost_after_its_lease(scene: Scene, seen: Seen) -> None:
    """Not before the lease has run out; then at the next look its task is FAILED(WORKER_LOST), shown, once."""
    await scene.look(5)
    assert await scene.renew()
    assert await scene.look(TTL - 1) == 0
    assert await scene.look(2) == 1
    task = await scene.store.get(7)
    assert (task.state, task.state_reason) == (TaskState.FAILED, "WORKER_LOST")
    assert seen.lines == [("WORKER_LOST", 7)]
    assert await scene.look(TTL) == 0
    assert not await scene.renew()


async def test_a_reaper_listens_for_a_lease_first(scene: Scene) -> None:
    """The lease ran out while no task manager was there: the worker has a whole lease to come back in."""
    scene.clock.pass_(3_600)
    reaper = scene.make_reaper(scene.store)
    assert await scene.look(TTL, reaper) == 0
    assert await scene.renew()
    assert await scene.look(TTL - 1, reaper) == 0
    assert await scene.look(2, reaper) == 1


async def test_an_outage_of_the_store_starts_the_wait_anew(scene: Scene) -> None:
    """After a look that the store could not answer nobody is lost before a lease and a second have been heard."""

    class FailingStore:
        """The store, away at times."""

        away = False

        def __getattr__(self, name: str) -> object:
            return getattr(scene.store, name)

        async def clock(self) -> datetime:
            if self.away:
                raise StoreUnavailable("away")
            return await scene.store.clock()

    store = FailingStore()
    reaper = scene.make_reaper(store)  # type: ignore[arg-type]
    await scene.look(TTL - 1, reaper)
    store.away = True
    assert await scene.look(3 * TTL, reaper) == 0
    store.away = False
    assert await scene.look(TTL, reaper) == 0
    assert await scene.renew()
    assert await scene.look(3, reaper) == 0


async def test_a_renewal_that_failed_starts_the_wait_anew(scene: Scene) -> None:
    """A sign of life that came and could not be recorded was none of the worker's fault."""
    await scene.look(TTL)
    scene.reaper.deafened()
    assert await scene.look(TTL) == 0
    assert await scene.look(2) == 1


@pytest.mark.parametrize("seconds", [3_600, -3_600])
async def test_a_jump_of_the_clock_starts_the_wait_anew(scene: Scene, seconds: int) -> None:
    """A laptop that slept wakes up to leases that have all run out: nobody is lost for that."""
    await scene.look(TTL + 5)  # lost by now, were it not renewed:
    await scene.store.register_worker(Registration("healthy", "agent"))
    await scene.store.apply("healthy", [operation(1, 8, START)])
    scene.clock.jump(seconds)
    assert await scene.look(TTL) == 0
    assert await scene.renew("healthy", 3)
    assert await scene.look(3) == 0


async def test_a_late_look_starts_the_wait_anew(scene: Scene) -> None:
    """A task manager that was stopped itself (SIGSTOP) could hear nobody."""
    await scene.look(TTL - 1)
    scene.clock.pass_(3_600)
    assert await scene.look(TTL) == 0
    assert await scene.look(3) == 1


async def test_its_own_processs_worker_is_spared(scene: Scene) -> None:
    """An embedded task manager never takes the lease of the worker beside it."""
    reaper = scene.make_reaper(scene.store, "silent")
    assert await scene.look(5 * TTL, reaper) == 0
    assert await scene.renew()


async def test_a_store_that_stops_in_between_takes_no_lease_that_held(scene: Scene) -> None:
    """What counts is the time at which leases were looked at, not the one at which the store comes to it."""

    class StoppedStore:
        """The store, which does not come to the end of leases for an hour."""

        def __getattr__(self, name: str) -> object:
            return getattr(scene.store, name)

        async def expire_workers(self, spare: frozenset[str], as_of: datetime | None = None) -> object:
            scene.clock.pass_(3_600)
            return await scene.store.expire_workers(spare, as_of)

    reaper = scene.make_reaper(StoppedStore())  # type: ignore[arg-type]
    await scene.look(int(TTL + MARGIN_SECONDS) - 1)
    assert await scene.renew()
    assert await scene.look(1, reaper) == 0
    assert (await scene.store.get(7)).state is TaskState.WORKING
