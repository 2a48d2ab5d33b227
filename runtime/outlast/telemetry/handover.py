"""The way to what is the program's own and may block (span processors, log handlers): a thread apart."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from outlast.telemetry.log import get_logger, summary_of

#: Calls that may wait.
_MAX_WAITING = 2048

_log = get_logger()


class Handover:
    """Makes calls in their order on a thread of its own, so that whoever hands one over never waits for it."""

    def __init__(self, name: str, *, dropped: str, failed: str) -> None:
        """``name`` is the thread's; ``dropped`` and ``failed`` are the lines for a call that is not made or raises."""
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(_MAX_WAITING)
        self._dropped_message = dropped
        self._failed_message = failed
        self._dropped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether every call that was handed over has been made."""
        return self._waiting.unfinished_tasks == 0

    def put(self, call: Callable[[], object]) -> bool:
        """Have ``call`` made soon; drop it, with one line the first time, when too many wait, and return False."""
        try:
            self._waiting.put_nowait(call)
        except queue.Full:
            if not self._dropped:
                self._dropped = True
                _log.warning(self._dropped_message)
            return False
        return True

    def close(self, deadline_seconds: float) -> None:
        """Make the calls that wait, and end; give up after the deadline."""
        give_up = time.monotonic() + deadline_seconds
        try:
            self._waiting.put(None, timeout=deadline_seconds)
        except queue.Full:
            return
        self._thread.join(max(give_up - time.monotonic(), 0))

    def _run(self) -> None:
        while (call := self._waiting.get()) is not None:
            try:
                call()
            except BaseException as error:  # the program's own fault
                _log.warning(self._failed_message, reason=summary_of(error))
            self._waiting.task_done()
