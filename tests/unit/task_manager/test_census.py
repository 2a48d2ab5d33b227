"""The gauges of what waits and runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import cast

import pytest

from outlast.core.errors import StoreUnavailable
from outlast.core.state import TaskState
from outlast.telemetry.metrics import metering
from outlastd.stores.port import Census, TaskStore
from outlastd.task_manager.census import CENSUS_SECONDS, PAUSE_FACTOR, STALE_SECONDS, TaskCensus

from ...metered import Figures, metered

ACTIVE, BACKLOG, AGE = "outlast.task.active", "outlast.task.backlog", "outlast.task.backlog.age"


class Counting:
    """A store that says what it is told to, and may take its time for it; and the time."""

    def __init__(self) -> None:
        self.counts: Sequence[Census] | None = ()
        self.takes = 0.0
        self.time = 1_000.0

    async def census(self) -> Sequence[Census]:
        """Say it."""
        self.time += self.takes
        if self.counts is None:
            raise StoreUnavailable("the disk is full")
        return self.counts

    def now(self) -> float:
        """Return the time."""
        return self.time


@pytest.fixture
def figures() -> Iterator[Figures]:
    """Switch metrics on."""
    with metered() as figures:
        yield figures


@pytest.fixture
def store() -> Counting:
    """Return a store."""
    return Counting()


def started(store: Counting, agent: str = "") -> TaskCensus:
    """Return a census that is shown."""
    active = metering.active()
    assert active is not None
    taker = TaskCensus(cast(TaskStore, store), active, agent, clock=store.now)
    taker.show()
    return taker


def count(agent: str, state: TaskState, tasks: int, backlog: int = 0, seconds: float = 0) -> Census:
    """Return one line of a census."""
    return Census(agent, state, tasks, backlog, timedelta(seconds=seconds))


async def test_figures(figures: Figures, store: Counting) -> None:
    """Each agent's tasks are shown by state, with its backlog and how long the first of that has waited."""
    store.counts = [
        count("cook", TaskState.SUBMITTED, 5, 3, 12.5),
        count("cook", TaskState.WORKING, 2),
        count("maid", TaskState.INPUT_REQUIRED, 1),
    ]

    await started(store).take()

    active = {series: value for series, value in figures.values(ACTIVE).items() if value}
    assert active == {
        (("agent", "cook"), ("state", "SUBMITTED")): 5,
        (("agent", "cook"), ("state", "WORKING")): 2,
        (("agent", "maid"), ("state", "INPUT_REQUIRED")): 1,
    }
    assert figures.values(BACKLOG) == {(("agent", "cook"),): 3, (("agent", "maid"),): 0}
    assert figures.values(AGE) == {(("agent", "cook"),): 12.5, (("agent", "maid"),): 0}


async def test_agent_without_tasks(figures: Figures, store: Counting) -> None:
    """An agent whose last task has ended has zero tasks and does not vanish; the manager's own is there at once."""
    taker = started(store, agent="cook")
    await taker.take()
    assert figures.values(BACKLOG) == {(("agent", "cook"),): 0}
    store.counts = [count("maid", TaskState.WORKING, 1)]
    await taker.take()
    store.counts = []

    await taker.take()

    assert set(figures.values(ACTIVE).values()) == {0}
    assert figures.values(BACKLOG) == {(("agent", "cook"),): 0, (("agent", "maid"),): 0}


async def test_too_many_agents(figures: Figures, store: Counting) -> None:
    """Agents beyond the bound are one: their tasks are added up, and the longest wait of all is shown."""
    store.counts = [count(f"agent-{number}", TaskState.SUBMITTED, 1, 1, number) for number in range(103)]

    await started(store).take()

    assert len(figures.values(BACKLOG)) == 101
    assert figures.values(BACKLOG)[("agent", "other"),] == 3
    assert figures.values(AGE)[("agent", "other"),] == 102
    assert sum(figures.values(ACTIVE).values()) == 103


async def test_store_that_does_not_answer(figures: Figures, store: Counting) -> None:
    """The last answer of a store that is out of reach is shown for a while, and not for ever."""
    taker = started(store)
    store.counts = [count("cook", TaskState.WORKING, 1)]
    await taker.take()
    store.counts = None
    store.time += CENSUS_SECONDS + STALE_SECONDS - 0.1
    await taker.take()
    assert figures.values(BACKLOG) == {(("agent", "cook"),): 0}

    store.time += 0.2

    assert not figures.values(BACKLOG)
    assert not figures.values(ACTIVE)


async def test_pause(figures: Figures, store: Counting) -> None:
    """A store that takes long for a census is asked the less often, and its answer is shown until then."""
    assert await started(store).take() == CENSUS_SECONDS
    store.takes = 2.0
    store.counts = [count("cook", TaskState.WORKING, 1)]

    pause = await started(store).take()

    assert pause == 2.0 * PAUSE_FACTOR
    store.time += pause
    assert figures.values(BACKLOG) == {(("agent", "cook"),): 0}


async def test_pause_after_an_outage(figures: Figures, store: Counting) -> None:
    """A store that was long in not answering is asked again soon all the same."""
    store.counts, store.takes = None, 10.0

    assert await started(store).take() == STALE_SECONDS


async def test_end(figures: Figures, store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended is shown no more."""
    store.counts = [count("cook", TaskState.WORKING, 1)]
    active = metering.active()
    assert active is not None
    shown: list[int] = []

    async def end(_: float) -> None:
        shown.append(len(figures.values(BACKLOG)))
        raise InterruptedError

    monkeypatch.setattr(asyncio, "sleep", end)
    with pytest.raises(InterruptedError):
        await TaskCensus(cast(TaskStore, store), active, clock=store.now).run()

    assert shown == [1]
    assert not figures.values(BACKLOG)
