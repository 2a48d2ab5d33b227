"""Brings submitted tasks to the workers that are connected here and have room, by claims."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from outlast.core.errors import OutlastError
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.core.worker import SILENCE
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskFilter, TaskStore
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.uncut import uncut
from outlastd.task_manager.workers import ConnectedWorker, Workers

#: Tasks that one claim gives a worker at the most: then it is the next one's turn.
MAX_CLAIM = 32
#: Seconds between two looks at everything: for attempts whose time has come, and hints that were lost.
LOOK_SECONDS = 1.0
#: Seconds between two looks that hints ask for: others hint at every change, and few are of a task that waits.
HINT_SECONDS = 0.05
#: Seconds before the store is asked again after it could not answer.
RETRY_SECONDS = 1.0


class Dispatcher:
    """Claims tasks for the workers of an agent in turn. One loop: a claim is never on its way twice for one worker."""

    def __init__(
        self, store: TaskStore, workers: Workers, publish: Publish, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._workers = workers
        self._publish = publish
        self._clock = clock
        #: Seconds after which a worker that says nothing is given nothing.
        self._silence = store.policy.lease_ttl.total_seconds() * SILENCE
        #: The agents of which something has changed.
        self._agents: set[str] = set()
        self._wanted = asyncio.Event()
        #: When everything is looked at again.
        self._look_at = 0.0
        #: Counts the claims that gave something.
        self._turn = 0
        workers.on_room = self.wake

    def wake(self, agent: str) -> None:
        """Have an agent's workers looked at: there is a task that waits, or a worker with room."""
        self._agents.add(agent)
        self._wanted.set()

    def wake_later(self, seconds: float) -> None:
        """Have everything looked at within ``seconds``."""
        at = self._clock() + seconds
        if at < self._look_at:
            self._look_at = at
            self._wanted.set()  # the wait that is under way is too long

    def hint(self, _task_ids: frozenset[int] | None) -> None:
        """Have everything looked at soon: other processes have changed tasks, and one of them may wait."""
        self.wake_later(HINT_SECONDS)

    def note(self, task: Task) -> None:
        """Take notice of a task whose state has changed: it may wait for a worker now."""
        if task.state is not TaskState.SUBMITTED or task.worker_id:
            return
        if task.next_attempt_at is None or task.updated_at is None:
            self.wake(task.agent)
        else:
            self.wake_later((task.next_attempt_at - task.updated_at).total_seconds())

    async def run(self) -> None:
        """Dispatch until cancelled."""
        while True:
            await self._wait()
            agents, self._agents = self._agents, set()
            if self._clock() >= self._look_at:
                self._look_at = self._clock() + LOOK_SECONDS
                agents |= {worker.worker.agent for worker in self._workers}
            for agent in agents:
                try:
                    await self._dispatch(agent)
                except OutlastError as error:
                    get_logger().warning("submitted tasks wait for the store", agent=agent, reason=error.message)
                    await asyncio.sleep(RETRY_SECONDS)
                    self.wake(agent)

    async def _wait(self) -> None:
        """Return when an agent has to be looked at, or all of them."""
        while not self._agents and (left := self._look_at - self._clock()) > 0:
            self._wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wanted.wait()

    async def _dispatch(self, agent: str) -> None:
        """Let the agent's workers claim in turn until nothing waits that one of them could take.

        The first claims are small and double from round to round, so that a burst is shared.
        """
        limit = 1
        while ready := self._ready(agent):
            if not await self._store.list(TaskFilter(states=frozenset({TaskState.SUBMITTED}), agent=agent), 1):
                return  # a look is cheaper than a claim for each worker
            if len(ready) == 1:
                limit = MAX_CLAIM
            if not await self._round(ready, limit):
                return
            limit = min(limit * 2, MAX_CLAIM)

    async def _round(self, ready: list[ConnectedWorker], limit: int) -> bool:
        """Let each worker claim once; return whether more may wait."""
        more = False
        #: How often a claim for workers like these found nothing. Twice is enough to leave the others alone: one
        #: alone may have lost its lease, or begun to drain.
        dry: Counter[object] = Counter()
        for worker in ready:
            kind = (worker.worker.task_types, worker.worker.session_id)
            wanted = min(limit, worker.room)
            if dry[kind] >= 2 or wanted == 0:
                continue
            given = await uncut(self._claim(worker, wanted))
            if given < wanted:
                dry[kind] += 2 if given else 1
            else:
                more = True
        return more

    async def _claim(self, worker: ConnectedWorker, limit: int) -> int:
        """Claim tasks for a worker and give them to it; return how many."""
        worker.claiming = True
        try:
            changes = await self._store.claim(worker.worker_id, worker.worker.epoch, limit)
        finally:
            worker.claiming = False
        if changes:
            self._turn += 1
            worker.turn = self._turn
        self._publish(changes)  # its line, before anybody can work on it
        # On a newer stream, when there is one by now; with none, the worker gets them when it connects again.
        current = self._workers.get(worker.worker_id)
        for change in changes:
            if current is not None:
                current.give(change.task)
        return len(changes)

    def _ready(self, agent: str) -> list[ConnectedWorker]:
        """Return the agent's workers that have room, who waited longest first.

        One that is silent may be gone, or speak to another replica by now: what it is given would wait for it.
        """
        ready = [
            worker
            for worker in self._workers
            if worker.worker.agent == agent and worker.room and worker.silent < self._silence
        ]
        return sorted(ready, key=lambda worker: worker.turn)
