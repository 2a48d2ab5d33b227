"""Has a client's repeat of an invocation wait for the first one's answer, instead of running the agent twice.

boto3 repeats an invocation that says nothing for 60 s, with the same ``amz-sdk-invocation-id`` (contract section 2.1).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from outlast.telemetry.log import get_logger
from outlastd.front_door.response import Response
from outlastd.session_host.api_error import internal, throttled
from outlastd.session_host.repeat_key import RepeatKey
from outlastd.session_host.scratch import Disk
from outlastd.session_host.tape import Run, Tape

#: Answers that are kept or under way, bytes of them in memory, and bytes on the disk.
MAX_TAPES = 10_000
MAX_MEMORY = 64 * 1024**2
MAX_DISK = 1024**3
#: Seconds that a stream goes on without anybody who reads it: a repeat may be on its way.
LINGER = 30.0


class Repeats:
    """Runs each invocation once, whoever waits for it. Lives on the services' loop."""

    def __init__(
        self,
        seconds: float,
        max_bytes: int,
        *,
        linger: float = LINGER,
        max_tapes: int = MAX_TAPES,
        max_memory: int = MAX_MEMORY,
        max_disk: int = MAX_DISK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep answers of up to ``max_bytes`` for ``seconds`` after their end; of too many the oldest go first."""
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._linger = linger
        self._max_tapes = max_tapes
        self._max_memory = max_memory
        self._disk = Disk(max_disk, self._drop_oldest)
        self._clock = clock
        self._tapes: dict[RepeatKey, Tape] = {}
        #: Those that have ended, the oldest first: until when they are kept, and how much memory they have.
        self._kept: dict[RepeatKey, tuple[float, int]] = {}
        self._memory = 0
        self._timer: asyncio.TimerHandle | None = None
        self._runs: set[asyncio.Task[None]] = set()
        self._closed = False

    async def answer(self, key: RepeatKey | None, run: Run) -> Response:
        """Return the answer of ``run``, or that of an earlier one with the same key; without a key just run.

        The run goes on when whoever asked first has left. An ApiError that the agent has not caused (``ran``) and any
        other exception reach all who wait, and the next repeat runs anew.

        Raises:
            ApiError: the run was answered so; or its answer was too large to give it twice, or nobody read it.
            Exception: what the run raised.
        """
        if key is None:
            return await run()
        self._expire()
        return await (self._tapes.get(key) or self._begin(key, run)).answer()

    async def close(self) -> None:
        """Break off every run, and forget every answer; no other run begins."""
        self._closed = True
        await asyncio.sleep(0)  # a task that is cancelled before it has begun never learns of it
        runs = list(self._runs)
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
        while self._drop_oldest():
            pass
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self, key: RepeatKey, run: Run) -> Tape:
        if self._closed:
            raise internal()
        if len(self._tapes) >= self._max_tapes and not self._drop_oldest():
            raise throttled("Too many invocations are under way, please retry")
        tape = self._tapes[key] = Tape(self._disk, self._max_bytes, self._linger)
        task = asyncio.create_task(self._record(key, tape, run))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return tape

    async def _record(self, key: RepeatKey, tape: Tape, run: Run) -> None:
        try:
            await tape.record(run)
        except Exception as error:  # a fault of ours: those who read it have been told what there was
            get_logger().error("the answer to an invocation could not be closed", error=error)
        finally:
            if tape.worth_keeping:
                self._keep(key, tape)
            else:
                del self._tapes[key]
                tape.discard()

    def _keep(self, key: RepeatKey, tape: Tape) -> None:
        self._kept[key] = (self._clock() + self._seconds, tape.in_memory)
        self._memory += tape.in_memory
        while self._memory > self._max_memory:
            self._drop_oldest()
        self._expire()

    def _expire(self) -> None:
        now = self._clock()
        while (until := next(iter(self._kept.values()), (now + 1, 0))[0]) <= now:
            self._drop_oldest()
        if self._kept and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(until - now, self._expire_again)

    def _expire_again(self) -> None:
        self._timer = None
        self._expire()

    def _drop_oldest(self) -> bool:
        if not self._kept:
            return False
        key = next(iter(self._kept))
        self._memory -= self._kept.pop(key)[1]
        self._tapes.pop(key).discard()
        return True
