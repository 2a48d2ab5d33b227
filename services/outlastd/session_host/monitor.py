"""Watches one process that is ready: pings it, counts its uses, and tells when it has to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.core import session_rules
from outlast.core.session import EndReason
from outlast.core.session_rules import SessionRules
from outlast.ping import PingStatus
from outlastd.session_host.clock import Clock
from outlastd.session_host.guest_client import GuestClient, PingAnswer, PingFailed

#: Seconds after the last use until the process is asked whether it is busy.
AFTER_USE = 0.1


class Monitor:
    """The activity of one run. On the services' loop."""

    def __init__(
        self,
        guest: GuestClient,
        rules: SessionRules,
        clock: Clock,
        remark: Callable[[float, float | None], object],
        *,
        started_at: float,
        first: PingAnswer,
        interval: float,
        timeout: float,
    ) -> None:
        """``first`` is the answer that made the process ready; a ping may take ``timeout`` seconds.

        ``remark`` is told again and again for how many seconds the run has lived, and been idle for, None for not.
        """
        self._guest = guest
        self._rules = rules
        self._clock = clock
        self._remark = remark
        self._interval = interval
        self._timeout = timeout
        self._free = asyncio.Event()
        self.activity = session_rules.began(started_at, clock.monotonic())
        self._answered(first)

    def use_began(self) -> None:
        """Count one more use in flight."""
        self.activity = session_rules.use_began(self.activity)

    def use_ended(self) -> None:
        """Count one less."""
        self.activity = session_rules.use_ended(self.activity, self._clock.monotonic())
        if not self.activity.in_flight:
            self._free.set()

    def touched(self) -> None:
        """Note a sign of life."""
        self.activity = session_rules.touched(self.activity, self._clock.monotonic())

    async def until_due(self) -> tuple[EndReason, str]:
        """Ping until the run has to end; return why, and that for people.

        Nothing happens between the last look at what is known and the return: a use that begins is seen or refused.
        """
        while True:
            now = self._clock.monotonic()
            await self._pause(max(0.0, min(self._interval, session_rules.next_look(self.activity, self._rules) - now)))
            verdict = self._due()
            if verdict is None or verdict[0] is not EndReason.MAX_LIFETIME:
                # Nothing but its age ends it on old news: it may be busy by now, and a host that was itself stopped for
                # a while has heard nothing.
                await self._ping()
                verdict = self._due()
            now = self._clock.monotonic()
            idle = session_rules.idle_since(self.activity)
            self._remark(now - self.activity.started_at, None if idle is None else now - idle)
            if verdict is not None:
                return verdict

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the last use has ended: it may have left a task that is at work."""
        self._free.clear()
        waits = {asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._after_use())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _after_use(self) -> None:
        await self._free.wait()
        await self._clock.sleep(AFTER_USE)  # uses that follow each other closely are not worth a ping each

    def _due(self) -> tuple[EndReason, str] | None:
        return session_rules.due(self.activity, self._rules, self._clock.monotonic())

    async def _ping(self) -> None:
        try:
            answer = await self._guest.ping(self._timeout)
        except PingFailed as failure:
            self.activity = session_rules.unanswered(self.activity, str(failure), self._clock.monotonic())
        else:
            self._answered(answer)

    def _answered(self, answer: PingAnswer) -> None:
        self.activity = session_rules.answered(
            self.activity,
            answer.status is PingStatus.HEALTHY_BUSY,
            answer.time_of_last_update,
            self._clock.monotonic(),
            self._clock.now().timestamp(),
        )
