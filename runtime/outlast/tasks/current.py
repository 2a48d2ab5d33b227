"""The task that the running code belongs to."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

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

        Raises:
            InvalidField: it cannot be written as JSON, or is over the limit of a result.
        """
        stored = to_stored_json(chunk, self._max_chunk_bytes, field="chunk")
        self._ledger.record(self._tracked, Output(b"[" + stored + b"]"))

    @property
    def cancelled(self) -> bool:
        """Whether somebody has asked to cancel the task."""
        return self._tracked.cancel_requested

    def raise_if_cancelled(self) -> None:
        """Raise asyncio.CancelledError, which ends the task as CANCELED, if somebody has asked to cancel it."""
        if self.cancelled:
            raise asyncio.CancelledError(f"{self.name} was asked to cancel")

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
