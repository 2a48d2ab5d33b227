"""The gauges of what waits and runs: the store is asked again and again, and whoever collects is shown its last answer.

The figures are the whole store's. Each task manager on it shows the same ones: take their maximum, not their sum.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from outlast.core.errors import OutlastError
from outlast.core.state import TERMINAL, TaskState
from outlast.telemetry.log import get_logger
from outlast.telemetry.metrics import cardinality
from outlast.telemetry.metrics.metering import Metering
from outlast.telemetry.metrics.observed import end_all
from outlastd.stores.port import Census, TaskStore

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation

#: Seconds between two censuses, at the least; and how many times as long as one took, where that is longer: of the
#: store's time it takes a twentieth at the most.
CENSUS_SECONDS, PAUSE_FACTOR = 5.0, 20.0
#: Seconds after which an answer that should have been followed by another one is shown no more.
STALE_SECONDS = 30.0

_STATES = tuple(state for state in TaskState if state not in TERMINAL)


class TaskCensus:
    """Shows how many tasks have not ended, while metrics are on.

    ``run`` belongs to the services' loop. Whoever collects reads on a thread of his own, and only what the loop has
    left there: the three lists are replaced as a whole and never changed.
    """

    def __init__(
        self, store: TaskStore, metering: Metering, agent: str = "", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``agent`` is shown from the start, also while it has no task; empty where several are served."""
        self._store = store
        self._metering = metering
        self._clock = clock
        #: Those that have been shown: an agent whose tasks have ended has zero of them, and does not vanish.
        self._agents = {cardinality.agent(agent)} if agent else set()
        self._active: Sequence[Observation] = ()
        self._backlog: Sequence[Observation] = ()
        self._wait: Sequence[Observation] = ()
        self._valid_until = 0.0

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        end = self.show()
        try:
            while True:
                pause = await self.take()
                await asyncio.sleep(pause)
        finally:
            end()

    def show(self) -> Callable[[], None]:
        """Show the last answer to whoever collects, until what is returned is called."""
        observed = self._metering.observed
        ends = [
            observed.gauge(name, self._fresh(read), unit=unit, description=description)
            for name, read, unit, description in (
                ("outlast.task.active", lambda: self._active, "{task}", "Tasks that have not ended"),
                ("outlast.task.backlog", lambda: self._backlog, "{task}", "Tasks that any worker may begin now"),
                ("outlast.task.backlog.age", lambda: self._wait, "s", "How long the first of the backlog has waited"),
            )
        ]

        return partial(end_all, ends)

    async def take(self) -> float:
        """Ask once; return how many seconds to wait before the next time."""
        began = self._clock()
        try:
            counts = await self._store.census()
        except OutlastError as error:
            get_logger().warning("tasks could not be counted", reason=error.message)
            counts = None
        now = self._clock()
        pause = max(CENSUS_SECONDS, PAUSE_FACTOR * (now - began))
        if counts is None:  # one that was away may be back at any time
            return min(pause, STALE_SECONDS)
        self._keep(counts)
        self._valid_until = now + pause + STALE_SECONDS
        return pause

    def _fresh(self, read: Callable[[], Sequence[Observation]]) -> Callable[[], Iterable[Observation]]:
        """Return what gives nothing once the store has not answered for too long."""
        return lambda: read() if self._clock() < self._valid_until else ()

    def _keep(self, counts: Sequence[Census]) -> None:
        from opentelemetry.metrics import Observation

        active: dict[tuple[str, TaskState], int] = {}
        backlog: dict[str, int] = {}
        wait: dict[str, float] = {}
        for count in counts:
            agent = cardinality.agent(count.agent)
            self._agents.add(agent)
            active[agent, count.state] = active.get((agent, count.state), 0) + count.tasks
            backlog[agent] = backlog.get(agent, 0) + count.backlog
            wait[agent] = max(wait.get(agent, 0.0), count.longest_wait.total_seconds())
        self._active = [
            Observation(active.get((agent, state), 0), {cardinality.AGENT: agent, cardinality.STATE: state.name})
            for agent in self._agents
            for state in _STATES
        ]
        self._backlog = [Observation(backlog.get(agent, 0), _of(agent)) for agent in self._agents]
        self._wait = [Observation(wait.get(agent, 0.0), _of(agent)) for agent in self._agents]


def _of(agent: str) -> Mapping[str, str]:
    return {cardinality.AGENT: agent}
