"""The task that the running code belongs to."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from outlast.core.errors import BacklogFull
from outlast.core.operation import Output, Report
from outlast.core.task import Progress
from outlast.core.validation import clean_text
from outlast.payload import to_stored_json
from outlast.tasks.ledger import Ledger
from outlast.tasks.tracked import TrackedTask

#: Characters at the most that are kept of a progress message.
MAX_PROGRESS_MESSAGE = 1024


class CurrentTask:
    """A task as its own code sees it. Works on any thread; does nothing once the task has ended."""

    __slots__ = ("__weakref__", "_ledger", "_max_chunk_bytes", "_tracked")

    def __init__(self, tracked: TrackedTask, ledger: Ledger, max_chunk_bytes: int) -> None:
        self._tracked = tracked
        self._ledger = ledger
        self._max_chunk_bytes = max_chunk_bytes

    @property
    def task_id(self) -> int:
        """The task id."""
        return self._tracked.task_id

    @property
    def name(self) -> str:
        """The resource name, ``tasks/{id}``."""
        return self._tracked.name

    @property
    def task_type(self) -> str:
        """The task type: the function's name, or the one that was given."""
        return self._tracked.task_type

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._tracked.attempt

    @property
    def max_attempts(self) -> int:
        """How many attempts the task may have."""
        return self._tracked.start.max_attempts

    def progress(self, fraction: float | None = None, message: str = "") -> None:
        """Say how far the task has come: the part that is done, 0 to 1, and for people what it is doing.

        Raises:
            ValueError: the fraction is not between 0 and 1.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"progress is a fraction between 0 and 1, not {fraction}")
        text = clean_text(str(message), MAX_PROGRESS_MESSAGE)
        progress = Progress(None if fraction is None else float(fraction), text, datetime.now(UTC))
        self._ledger.record(self._tracked, Report(progress))

    def emit(self, chunk: Any) -> None:
        """Give out a piece of output, a value as JSON can say it, to whoever watches the task.

        Once too much of it waits for the task manager (1 MiB) a thread waits here until there is room for more.

        Raises:
            InvalidField: it cannot be written as JSON, or is over the limit of a result.
            BacklogFull: there is no room, and waiting would block the event loop that runs here: see ``aemit``.
            asyncio.CancelledError: somebody asked to cancel the task while it waited.
        """
        output = self._output(chunk)
        while not self._recorded(output):
            self._ledger.wait_for_room(self._tracked, len(output.chunks))

    async def aemit(self, chunk: Any) -> None:
        """Give out a piece of output as ``emit`` does, waiting for room on the running event loop.

        Raises:
            InvalidField: see ``emit``.
            asyncio.CancelledError: see ``emit``.
        """
        output = self._output(chunk)
        while True:
            await self._ledger.room(self._tracked, len(output.chunks))
            try:
                self._ledger.record(self._tracked, output)
            except BacklogFull:  # somebody else of the same task was faster
                continue
            return

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked to cancel the task."""
        return self._tracked.cancel_requested

    @property
    def draining(self) -> bool:
        """Whether the process has been told to stop: what runs longer than the grace is cut short."""
        return self._ledger.draining

    def raise_if_cancelled(self) -> None:
        """Raise asyncio.CancelledError, which ends the task as CANCELED, if somebody has asked to cancel it."""
        if self.cancelled:
            raise asyncio.CancelledError(f"{self.name} was asked to cancel")

    def _output(self, chunk: Any) -> Output:
        return Output(b"[" + to_stored_json(chunk, self._max_chunk_bytes, field="chunk") + b"]")

    def _recorded(self, output: Output) -> bool:
        """Record output if there is room for it. Raises BacklogFull instead of False where nobody may wait."""
        try:
            self._ledger.record(self._tracked, output)
        except BacklogFull:
            if asyncio._get_running_loop() is not None:
                raise
            return False
        return True

    def __repr__(self) -> str:
        return f"<CurrentTask {self.name} {self.task_type}>"


#: The task that the running code belongs to; None outside of one.
bound_task: ContextVar[CurrentTask | None] = ContextVar("outlast_task", default=None)


def current_task() -> CurrentTask:
    """Return the task that the calling code belongs to, on whichever thread of the task it runs.

    Raises:
        RuntimeError: the code belongs to no task.
    """
    task = bound_task.get()
    if task is None:
        raise RuntimeError("current_task() was called outside of a task")
    return task
