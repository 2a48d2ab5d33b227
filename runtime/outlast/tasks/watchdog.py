"""Notices code that blocks the loop it runs on, and says in the log which line it is at (promise 9)."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from outlast.context import Invocation, current_invocation
from outlast.tasks.call_pool import CallPool
from outlast.tasks.loops import LoopThread
from outlast.tasks.stack import Stack, stack_of
from outlast.tasks.worker_metrics import PROCESS, stall_recorder
from outlast.telemetry.log import get_logger

#: Seconds at the most between two looks.
INTERVAL = 0.25
#: A loop that stays blocked is spoken of again after so many seconds, and from then on each ``THEN_EACH``.
AGAIN_AFTER = (10.0, 60.0)
THEN_EACH = 300.0


class Watchdog:
    """Watches loops of user code from the services' loop, which runs none and so keeps its time.

    A loop is sent a beat, and has to have run it within ``blocked_after`` seconds. Time in which the watchdog itself
    did not get its turn is nobody's blockage: then something held the interpreter's lock, or the machine slept.
    """

    def __init__(
        self,
        loops: Iterable[LoopThread],
        blocked_after: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_at: Callable[[int], Stack | None] = stack_of,
    ) -> None:
        """``blocked_after`` is in seconds; 0 watches nothing. A loop that is not started is not started for this."""
        self._blocked_after = blocked_after
        #: Seconds from one look to the next.
        self.interval = min(max(blocked_after / 4, 0.01), INTERVAL)
        self._clock = clock
        # Lines are written on a thread: to show one of source reads its file. One thread keeps them in order.
        self._writer = CallPool(threads=1, name="outlast-watchdog")
        self._record = stall_recorder()
        self._watches = [_Watch(loop, blocked_after, clock, look_at, self._write, self._record) for loop in loops]
        self._timer: asyncio.TimerHandle | None = None
        #: When the next look is due, and how much the process had computed at the last, seconds.
        self._due = math.inf
        self._computed = 0.0

    def start(self) -> None:
        """Begin to watch. On the services' loop."""
        if self._blocked_after:
            self._tick()

    def close(self) -> None:
        """Stop watching. On the services' loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writer.close()

    def look(self) -> None:
        """See how the loops are. To be called each ``interval`` seconds."""
        now = self._clock()
        late = max(now - self._due, 0.0)
        if late > self._blocked_after:
            # As much as the time: something computed, and held the lock. Next to nothing: it waited, or all slept.
            computed = time.process_time() - self._computed
            self._record(PROCESS, late)
            self._write(partial(_tell_standstill, late, computed))
        for watch in self._watches:
            watch.look(now, late)
        self._due = now + self.interval
        self._computed = time.process_time()

    def _tick(self) -> None:
        self.look()
        self._timer = asyncio.get_running_loop().call_later(self.interval, self._tick)

    def _write(self, line: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the system gives no thread for it
            self._writer.post(line, admitted=True)


class _Beat:
    """Something for a loop to run, and when it was asked to and did."""

    __slots__ = ("answered", "sent")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.answered: float | None = None

    def answer(self, clock: Callable[[], float]) -> None:
        """On the loop: it runs."""
        self.answered = clock()


class _Watch:
    """One loop, and the beat that it was sent last."""

    def __init__(
        self,
        loop: LoopThread,
        blocked_after: float,
        clock: Callable[[], float],
        look_at: Callable[[int], Stack | None],
        write: Callable[[Callable[[], None]], None],
        record: Callable[[str, float], None],
    ) -> None:
        self._loop = loop
        self._record = record
        self._blocked_after = blocked_after
        self._clock = clock
        self._look_at = look_at
        self._write = write
        self._beat: _Beat | None = None
        #: After how many seconds the blockage is told (again), and whether it has been.
        self._tell_after = blocked_after
        self._told = False

    def look(self, now: float, late: float) -> None:
        """See whether the beat was answered; if so, send another."""
        thread_id = self._loop.thread_id
        if thread_id is None:
            self._begin(None)
        elif self._beat is None:
            self._send(now)
        elif self._beat.answered is not None:
            if self._told:
                seconds = self._beat.answered - self._beat.sent
                self._record(self._loop.name, seconds)
                self._write(partial(_tell_end, self._loop.name, seconds))
            self._send(now)
        else:
            self._beat.sent += late
            if (seconds := now - self._beat.sent) >= self._tell_after:
                self._tell(thread_id, seconds)

    def _begin(self, beat: _Beat | None) -> None:
        self._beat, self._tell_after, self._told = beat, self._blocked_after, False

    def _send(self, now: float) -> None:
        beat = _Beat(now)
        self._begin(beat)
        try:
            self._loop.post(beat.answer, self._clock)
        except RuntimeError:  # closed
            self._begin(None)

    def _tell(self, thread_id: int, seconds: float) -> None:
        stack = self._look_at(thread_id)
        if stack is not None and not stack:
            return  # it waits for events: nobody blocks it, it has only not got its turn yet
        self._told = True
        self._tell_after = next((after for after in AGAIN_AFTER if after > seconds), seconds + THEN_EACH)
        self._write(partial(_tell_blockage, self._loop.name, seconds, stack, _invocation_on(self._loop)))


def _invocation_on(loop: LoopThread) -> Invocation | None:
    """Return what the loop's current task runs for, where Python tells others a task's context (3.12)."""
    if sys.version_info >= (3, 12):
        # The loop may be closed in this moment, and the task of somebody's own making.
        with contextlib.suppress(RuntimeError, AttributeError):
            task = asyncio.current_task(loop.loop)
            return None if task is None else task.get_context().get(current_invocation)
    return None


# -- the lines, on the writer's thread ---------------------------------------------------------------------------------


def _tell_blockage(loop: str, seconds: float, stack: Stack | None, invocation: Invocation | None) -> None:
    fields: dict[str, Any] = {}
    if invocation is not None:
        named = {"requestId": invocation.request_id, "sessionId": invocation.session_id}
        fields = {name: value for name, value in named.items() if value}
    fields |= {"loop": loop, "seconds": round(seconds, 3)}
    if stack is not None:
        culprit = stack.culprit
        fields["location"] = culprit.location
        if source := culprit.source:
            fields["line"] = source
        fields["stackTrace"] = stack.format()
    get_logger().warning("user code blocks the loop that it runs on", **fields)


def _tell_end(loop: str, seconds: float) -> None:
    get_logger().info("the loop runs again", loop=loop, seconds=round(seconds, 3))


def _tell_standstill(seconds: float, computed: float) -> None:
    get_logger().warning(
        "the whole process stood still", seconds=round(seconds, 3), cpuSeconds=round(max(computed, 0.0), 3)
    )
