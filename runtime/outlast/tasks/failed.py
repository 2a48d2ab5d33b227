"""What a handle raises of a task that FAILED where its code's exception cannot be had."""

from __future__ import annotations

from outlast.core.task import TaskError


class TaskFailed(Exception):
    """A task FAILED: in another attempt than the first, in another process, or because the runtime ended it."""

    def __init__(self, name: str, error: TaskError) -> None:
        super().__init__(name, error)
        #: The resource name, ``tasks/{id}``.
        self.name = name
        #: The name of the exception's class, or a reason such as DEADLINE or WORKER_LOST.
        self.type = error.type
        #: ``str()`` of the exception, or what happened.
        self.message = error.message

    def __str__(self) -> str:
        return f"{self.name} failed: {self.type}: {self.message}" if self.message else f"{self.name}: {self.type}"
