"""What AgentCore itself would not have allowed, said in the log: ``--strict`` changes nothing else.

The limits are those of contract section 1.7, the idle time and the lifetime those of section 3.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from outlast.core.session import SessionKey
from outlast.telemetry.log import get_logger

MAX_PAYLOAD = 100_000_000
#: Sessions that begin within a second, in all.
MAX_BEGUN = 25
#: Seconds of an answer in one piece, and of one that is streamed, or of a WebSocket connection.
MAX_ANSWER, MAX_STREAM = 15 * 60.0, 60 * 60.0
MAX_CHUNK = 10_000_000
#: Bytes of a WebSocket frame, and frames within a second on one session.
MAX_FRAME, MAX_FRAMES = 64 * 1024, 250
MAX_IDLE, MAX_AGE = 900.0, 28_800.0
#: Bytes of an agent's variables, in all.
MAX_ENVIRONMENT = 4 * 1024

#: Characters of a session's name that are logged: it may be what is too long.
_SHOWN = 512

REFUSED = "AgentCore would have refused this"
CUT_OFF = "AgentCore would have cut this off"
ENDED = "AgentCore would have ended this session"


class Strict:
    """Logs what goes over a limit of AgentCore's: once for a request, or once for a session while it lives."""

    def __init__(self, enabled: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds that only go on."""
        self._enabled = enabled
        self._clock = clock
        self._begun = _Rate(MAX_BEGUN)
        self._frames: dict[SessionKey, _Rate] = {}
        #: What has been said of a session, or of an agent, and is not said again.
        self._said: dict[SessionKey | str, set[str]] = {}

    def request(self, key: SessionKey, size: int) -> None:
        """Look at the bytes of a request's body; ids that AgentCore refuses are refused here too (call.py)."""
        if self._enabled and size > MAX_PAYLOAD:
            _warn(REFUSED, key, "payload", size, MAX_PAYLOAD)

    def session_begun(self, key: SessionKey) -> None:
        """Count a session that begins."""
        if self._enabled and self._begun.exceeded(self._clock()):
            self._once(key, REFUSED, "sessions begun within a second", f"over {MAX_BEGUN}", MAX_BEGUN)

    def answered(self, key: SessionKey, seconds: float) -> None:
        """Look at how long an agent took to begin its answer."""
        if self._enabled and seconds > MAX_ANSWER:
            _warn(CUT_OFF, key, "seconds until the answer", round(seconds, 3), MAX_ANSWER)

    def answer_ended(self, key: SessionKey, seconds: float, size: int, largest_chunk: int, streamed: bool) -> None:
        """Look at a whole answer: how long it took, its bytes, and those of its largest piece."""
        if not self._enabled:
            return
        if size > MAX_PAYLOAD:
            _warn(CUT_OFF, key, "answer", size, MAX_PAYLOAD)
        if streamed and seconds > MAX_STREAM:
            _warn(CUT_OFF, key, "seconds of a stream", round(seconds, 3), MAX_STREAM)
        if streamed and largest_chunk > MAX_CHUNK:
            _warn(CUT_OFF, key, "chunk of a stream", largest_chunk, MAX_CHUNK)

    def connection_ended(self, key: SessionKey, seconds: float) -> None:
        """Look at how long a WebSocket connection was open (contract section 1.4)."""
        if self._enabled and seconds > MAX_STREAM:
            _warn(CUT_OFF, key, "seconds of a WebSocket connection", round(seconds, 3), MAX_STREAM)

    def frame(self, key: SessionKey, size: int) -> None:
        """Look at a WebSocket frame, in either direction."""
        if not self._enabled:
            return
        if size > MAX_FRAME:
            self._once(key, CUT_OFF, "WebSocket frame", size, MAX_FRAME)
        rate = self._frames.setdefault(key, _Rate(MAX_FRAMES))
        if rate.exceeded(self._clock()):
            self._once(key, CUT_OFF, "WebSocket frames within a second", f"over {MAX_FRAMES}", MAX_FRAMES)

    def idle(self, key: SessionKey, seconds: float) -> None:
        """Look at a session that has done nothing for a while, and is still there."""
        if self._enabled and seconds > MAX_IDLE:
            self._once(key, ENDED, "idle seconds", round(seconds, 3), MAX_IDLE)

    def age(self, key: SessionKey, seconds: float) -> None:
        """Look at how long a session has lived."""
        if self._enabled and seconds > MAX_AGE:
            self._once(key, ENDED, "seconds of life", round(seconds, 3), MAX_AGE)

    def environment(self, agent: str, size: int) -> None:
        """Look at the bytes of an agent's variables."""
        if self._enabled and size > MAX_ENVIRONMENT:
            self._once(agent, REFUSED, "variables", size, MAX_ENVIRONMENT)

    def ended(self, key: SessionKey) -> None:
        """Forget a session that has ended."""
        self._said.pop(key, None)
        self._frames.pop(key, None)

    def _once(self, whose: SessionKey | str, message: str, what: str, found: object, limit: object) -> None:
        said = self._said.setdefault(whose, set())
        if what not in said:
            said.add(what)
            _warn(message, whose, what, found, limit)


class _Rate:
    """Counts what happens within a second."""

    def __init__(self, limit: int) -> None:
        self._times: deque[float] = deque(maxlen=limit)

    def exceeded(self, now: float) -> bool:
        """Note that it happens now; tell whether that is once too often."""
        times = self._times
        too_often = len(times) == times.maxlen and now - times[0] < 1.0
        times.append(now)
        return too_often


def _warn(message: str, whose: SessionKey | str, what: str, found: object, limit: object) -> None:
    session = "" if isinstance(whose, str) else str(whose)[:_SHOWN]
    agent = whose if isinstance(whose, str) else whose.agent
    get_logger().warning(message, agent=agent, session=session, what=what, found=found, limit=limit)
