"""The worker's view of its lease, by a clock of its own: when to give a sign of life, and when to give up."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from outlast.core.worker import SILENCE

#: The part of a lease between two signs of life.
BEAT = 1 / 3


def _boot_time() -> Callable[[], float]:
    """Return the monotonic clock that goes on while the machine sleeps, where the system has one."""
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "")
    clock_id = getattr(time, name, None)
    return time.monotonic if clock_id is None else lambda: time.clock_gettime(clock_id)


class WorkerLease:
    """A lease that holds for ``ttl`` seconds from each sign of life that the task manager has answered.

    What this clock says is on the safe side: the task manager counts from when it heard the sign, which is later.

    A process that was stopped, or slept with its machine, has heard nothing because it did not listen. When it wakes up
    it first gives a sign of life, and judges nothing until there was time for an answer.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or _boot_time()
        #: Seconds that the lease holds without a sign of life; None while nobody has said so, or it never runs out.
        self.ttl: float | None = None
        self._number = 0
        #: When the signs of life were given that have no answer yet.
        self._sent: dict[int, float] = {}
        #: When the newest one was given that was answered, and when the next one is due.
        self._renewed_at = 0.0
        self._next_beat = 0.0
        #: Before this nothing is judged: the process has just woken up.
        self._judge_from = 0.0
        #: When somebody should have looked.
        self._look_at: float | None = None
        #: Whether it was told that the lease has run out.
        self._lost = False
        self._connected = False

    def now(self) -> float:
        """Return the time, seconds."""
        return self._clock()

    # -- what happens ----------------------------------------------------------------------------------

    def connected(self, ttl: float | None, said_hello_at: float) -> None:
        """Note that the task manager has said welcome, which is as good as an answer to a sign of life."""
        self.ttl = ttl
        self._renewed_at = said_hello_at
        self._sent.clear()
        self._next_beat = said_hello_at
        self._lost, self._connected, self._look_at = False, True, None

    def disconnected(self) -> None:
        """Note that the stream is broken."""
        self._connected = False

    def beat(self) -> int:
        """Note that a sign of life is given now; return its number."""
        now = self._clock()
        self._number += 1
        self._sent[self._number] = now
        if self.ttl is not None:
            self._next_beat = now + self.ttl * BEAT
        return self._number

    def renewed(self, number: int, ttl: float | None) -> None:
        """Note the answer to a sign of life."""
        sent_at = self._sent.get(number)
        if sent_at is None:
            return
        self.ttl = ttl
        self._renewed_at, self._lost = max(self._renewed_at, sent_at), False
        self._sent = {later: at for later, at in self._sent.items() if later > number}

    # -- what is to be done ----------------------------------------------------------------------------

    def look(self) -> float | None:
        """Note that somebody looks now; return in how many seconds to look again, None for not before a welcome."""
        now = self._clock()
        if self.ttl is None:
            return None
        if self._look_at is not None and now > self._look_at + self.ttl * BEAT / 2:
            self._judge_from, self._next_beat = now + self.ttl * BEAT, now
        events = [self._judge(SILENCE), self._judge(1.0), *([self._next_beat] if self._connected else [])]
        self._look_at = min((at for at in events if at > now), default=now + self.ttl * BEAT)
        self._look_at = min(self._look_at, now + self.ttl * BEAT)
        return self._look_at - now

    @property
    def beat_due(self) -> bool:
        """Whether a sign of life should be given now."""
        return self._connected and self.ttl is not None and self._clock() >= self._next_beat

    @property
    def silent(self) -> bool:
        """Whether the task manager has not answered for so long that another replica should be tried."""
        return self._connected and self.ttl is not None and self._clock() >= self._judge(SILENCE)

    def lost(self) -> bool:
        """Whether the lease has run out; tells it once of each lease."""
        if self._lost or self.ttl is None or self._clock() < self._judge(1.0):
            return False
        self._lost = True
        return True

    def _judge(self, part: float) -> float:
        """Return when so large a part of the lease has gone without an answer."""
        assert self.ttl is not None
        return max(self._renewed_at + self.ttl * part, self._judge_from)
