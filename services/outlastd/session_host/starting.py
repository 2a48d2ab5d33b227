"""Starts the process of a session, and waits until it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from outlast.core.session import SessionKey
from outlastd.session_host.clock import Clock
from outlastd.session_host.guest_client import GuestClient, PingAnswer, PingFailed
from outlastd.session_host.plan import Plan
from outlastd.session_host.ports import GuestProcess, Launcher
from outlastd.task_manager.uncut import uncut

#: Seconds between the first two pings of a process that starts, how much longer each pause is, and the longest.
#: The pauses are a hundredth of the time that has passed, which is what a caller waits for nothing at the most. To ping
#: what does not listen yet takes 0.05 ms at a socket, and 0.25 at a port.
FIRST_PAUSE, PAUSE_GROWTH, LAST_PAUSE = 0.005, 1.01, 0.25


class Planning(Protocol):
    """Makes what a process needs before it can run."""

    async def plan(self, key: SessionKey) -> Plan:
        """Return how to run a session, whose folder, user and address are there. Raises LaunchFailed."""
        ...

    async def clear(self, plan: Plan) -> None:
        """Let go of what was made; no process of the session is left."""
        ...


@dataclass(slots=True)
class Run:
    """What there is of one run so far."""

    plan: Plan | None = None
    process: GuestProcess | None = None
    guest: GuestClient | None = None
    #: Why the last ping failed.
    failure: str = "it was not asked yet"


class Starting:
    """Starts processes, a few at a time; others wait in the order in which they came."""

    def __init__(
        self, planner: Planning, launcher: Launcher, clock: Clock, *, at_a_time: int, ping_timeout: float
    ) -> None:
        self.slots = asyncio.Semaphore(at_a_time)
        self._planner = planner
        self._launcher = launcher
        self._clock = clock
        self._ping_timeout = ping_timeout

    async def launch(self, key: SessionKey, run: Run) -> GuestProcess:
        """Start a process. ``run`` holds what there is of it, also when this is cancelled or fails.

        Raises:
            LaunchFailed: it could not be started.
        """
        await uncut(self._plan(key, run))  # what was made has to be known, or nobody could clear it
        assert run.plan is not None
        run.process = await self._launcher.launch(run.plan.order)
        run.guest = GuestClient(run.plan.endpoint)
        return run.process

    async def first_ping(self, run: Run) -> PingAnswer:
        """Ask again and again until the process answers. It is the caller's to give up."""
        assert run.guest is not None
        pause = FIRST_PAUSE
        while True:
            try:
                return await run.guest.ping(self._ping_timeout)
            except PingFailed as failure:
                run.failure = str(failure)
            await self._clock.sleep(pause)
            pause = min(pause * PAUSE_GROWTH, LAST_PAUSE)

    async def _plan(self, key: SessionKey, run: Run) -> None:
        run.plan = await self._planner.plan(key)

    async def clear(self, run: Run) -> None:
        """Let go of what a run has left behind."""
        if run.plan is not None:
            await self._planner.clear(run.plan)
            run.plan = None
