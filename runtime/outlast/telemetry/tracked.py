"""What telemetry knows of a live task: this package lies below ``outlast.tasks``, whose TrackedTask fulfils it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from outlast.core.operation import Start


class Tracked(Protocol):
    """A task that lives in this process, or one that has just ended."""

    @property
    def task_id(self) -> int:
        """The id of the task and of its span."""
        ...

    @property
    def attempt(self) -> int:
        """Which of its attempts lives here, counted from 1."""
        ...

    @property
    def start(self) -> Start:
        """How it started: ids, trace, how many attempts it may have."""
        ...


#: The task that the running code belongs to; None outside of one.
current_tracked: ContextVar[Tracked | None] = ContextVar("outlast_tracked", default=None)
