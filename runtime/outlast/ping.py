"""What ``GET /ping`` says: forced, else the custom handler's word, else whether a task lives here (promise 7)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from enum import Enum
from typing import Any, NamedTuple, Protocol

from outlast.tasks.call_pool import CallPool
from outlast.tasks.handler import Kind, kind_of
from outlast.telemetry import lines
from outlast.telemetry.log import summary_of

#: Seconds that a custom handler has before the automatic status answers in its place.
CUSTOM_TIME_LIMIT = 3.0


class PingStatus(str, Enum):  # noqa: UP042 (as in the original: str() of it is the member's name)
    """The two statuses of the contract."""

    HEALTHY = "Healthy"
    HEALTHY_BUSY = "HealthyBusy"


class PingReport(NamedTuple):
    """One answer of ``GET /ping``."""

    status: PingStatus
    #: The Unix second in which the status last changed; at first that of the start.
    time_of_last_update: int

    def as_json(self) -> dict[str, Any]:
        """Return the object that callers get."""
        return {"status": self.status.value, "time_of_last_update": self.time_of_last_update}


class Busy(Protocol):
    """What the board asks the ledger."""

    @property
    def busy(self) -> bool:
        """Whether a task lives in this process. Takes no lock."""

    def on_busy(self, tell: Callable[[bool], None]) -> object:
        """Have ``tell`` called when the first task starts and when the last one ends."""


class AgentLoop(Protocol):
    """The loop that async user code runs on."""

    def is_current(self) -> bool:
        """Whether the calling code runs on the loop's thread."""

    def post(self, callback: Callable[..., object], *args: object) -> None:
        """Have ``callback(*args)`` called on the loop soon; from any thread."""


class PingBoard:
    """Knows the status and when it last changed. Thread-safe."""

    def __init__(
        self,
        ledger: Busy,
        agent_loop: AgentLoop,
        *,
        time_limit: float = CUSTOM_TIME_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        #: The user's own handler: def or async def, returning a PingStatus or its value; None for the automatic one.
        self.custom: Callable[[], Any] | None = None
        #: Whether invocations in flight count as busy too (OUTLAST_BUSY_INVOCATIONS).
        self.count_invocations = False
        self._ledger = ledger
        self._agent_loop = agent_loop
        self._time_limit = time_limit
        self._clock = clock
        # Re-entrant: a finaliser that the garbage collector runs here may end a task, which comes back to this board.
        self._lock = threading.RLock()
        self._forced: PingStatus | None = None
        self._invocations = 0
        #: The Unix time of the last change, which the report tells in whole seconds.
        self.changed_at = clock()
        self._report = PingReport(PingStatus.HEALTHY, int(self.changed_at))
        # A thread of its own: as many entrypoints as there are threads may block, and this one still answers.
        self._pool = CallPool(threads=1, name="outlast-ping")
        self._running: _CustomCall | None = None
        ledger.on_busy(lambda _busy: self._refresh())

    @property
    def forced(self) -> PingStatus | None:
        """What it says whatever is true; None unless it was forced."""
        return self._forced

    def force(self, status: PingStatus | str | None) -> None:
        """Say ``status`` from now on, whatever is true; None ends that."""
        with self._lock:
            self._forced = None if status is None else PingStatus(status)
            self._refresh()

    def invocation_started(self) -> None:
        """Count one more invocation in flight."""
        with self._lock:
            self._invocations += 1
            if self.count_invocations:
                self._refresh()

    def invocation_ended(self) -> None:
        """Count one invocation in flight less."""
        with self._lock:
            self._invocations -= 1
            if self.count_invocations:
                self._refresh()

    @property
    def time_of_last_update(self) -> int:
        """The Unix second in which the status last changed."""
        return self._report.time_of_last_update

    def get_current(self) -> PingStatus:
        """Return the status, from any thread but the services'. A custom ``def`` runs in place.

        On the agent's loop an ``async def`` cannot be waited for: there the status that it gave last answers.
        """
        custom = self.custom
        if self._forced is not None or custom is None:
            return self._settle(None).status
        if kind_of(custom) is Kind.ASYNC:
            if self._agent_loop.is_current():
                return self._report.status
            call = self._call(custom)
            wait([call.done], timeout=call.time_left)
            return self._settle(call.status()).status
        status = None
        try:
            status = _status(custom())
        except Exception as error:
            _warn(summary_of(error))
        return self._settle(status).status

    async def ask(self) -> PingReport:
        """Return the status and its age; on the services' loop. Waits no longer than the time limit for user code."""
        custom = self.custom
        if self._forced is not None or custom is None:
            return self._settle(None)
        call = self._call(custom)
        if not call.done.done() and call.time_left:
            await asyncio.wait([asyncio.wrap_future(call.done)], timeout=call.time_left)
        return self._settle(call.status())

    def _call(self, custom: Callable[[], Any]) -> _CustomCall:
        """Return the call of the custom handler that runs, or start one: a handler that hangs hangs once."""
        with self._lock:
            if self._running is None or self._running.done.done():
                self._running = call = _CustomCall(custom, self._time_limit)
                if kind_of(custom) is Kind.ASYNC:
                    self._agent_loop.post(call.run_async)
                else:
                    self._pool.post(call.run)
            return self._running

    def _settle(self, custom: PingStatus | None) -> PingReport:
        """Note what is true now, ``custom`` being what the custom handler said, if it did."""
        with self._lock:
            status = self._forced or custom or self._automatic()
            if status is not self._report.status:
                self.changed_at = self._clock()
                self._report = PingReport(status, int(self.changed_at))
            return self._report

    def _refresh(self) -> None:
        """Something changed: note it at once, but for a custom handler, which is compared when it is asked."""
        if self._forced is not None or self.custom is None:
            self._settle(None)

    def _automatic(self) -> PingStatus:
        busy = self._ledger.busy or (self.count_invocations and self._invocations > 0)
        return PingStatus.HEALTHY_BUSY if busy else PingStatus.HEALTHY


class _CustomCall:
    """One call of the custom handler."""

    def __init__(self, custom: Callable[[], Any], time_limit: float) -> None:
        #: Done once there is an outcome, whichever it is: nobody has to collect an error from it.
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # so that nobody who waits can cancel it
        self._custom = custom
        self._until = time.monotonic() + time_limit
        self._said: PingStatus | None = None
        #: Why it has said nothing; None when it has spoken. An exception is asked where it was raised.
        self._failure: str | None = f"TimeoutError: no answer in {time_limit:g} s"
        self._warned = False
        self._task: asyncio.Task[None] | None = None

    @property
    def time_left(self) -> float:
        """Seconds until the automatic status answers; 0 once it does."""
        return max(self._until - time.monotonic(), 0.0)

    def status(self) -> PingStatus | None:
        """Return what the handler said; None, and one warning, when it failed or has not answered."""
        if self._failure is not None and not self._warned:
            self._warned = True
            _warn(self._failure)
        return self._said

    def run(self) -> None:
        """Call a ``def``, on a thread."""
        try:
            self._said, self._failure = _status(self._custom()), None
        except BaseException as error:
            self._failure = summary_of(error)
        self.done.set_result(None)

    def run_async(self) -> None:
        """Call an ``async def``, on the agent's loop."""
        self._task = asyncio.get_running_loop().create_task(self._run_async())

    async def _run_async(self) -> None:
        try:
            self._said, self._failure = _status(await self._custom()), None
        except BaseException as error:  # a cancel too: the loop may be going down, and somebody waits
            self._failure = summary_of(error)
        self.done.set_result(None)


def _status(said: Any) -> PingStatus | None:
    """Return what a custom handler said; None leaves it to the automatic status. Raises ValueError for nonsense."""
    return None if said is None else PingStatus(getattr(said, "value", said))  # the member of an enum of its own too


def _warn(why: str) -> None:
    lines.write("WARNING", f"Custom ping handler failed, falling back to automatic: {why}")
