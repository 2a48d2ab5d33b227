"""The figure of the workers that are connected to this process. What each of them holds it shows itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from outlast.telemetry.metrics import cardinality
from outlast.telemetry.metrics.metering import Metering
from outlastd.task_manager.workers import Workers

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation


class WorkerMetrics:
    """Shows how many workers there are, by agent.

    Whoever collects reads on a thread of his own: a list of the workers is made in one step. A worker is connected to
    one task manager, so that the sum over all of them is the store's figure.
    """

    def __init__(self, workers: Workers, metering: Metering) -> None:
        self._workers = workers
        self._metering = metering
        #: Those that have been shown: an agent whose last worker has gone has zero of them, and does not vanish.
        self._agents: set[str] = set()

    async def run(self) -> None:
        """Show it until cancelled."""
        end = self._metering.observed.sum(
            "outlast.worker.connected",
            self._connected,
            unit="{worker}",
            description="Workers with a stream to this process",
        )
        try:
            await asyncio.Event().wait()
        finally:
            end()

    def _connected(self) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        workers = Counter(cardinality.agent(worker.worker.agent) for worker in self._workers)
        self._agents |= workers.keys()
        return [Observation(workers[agent], {cardinality.AGENT: agent}) for agent in self._agents]
