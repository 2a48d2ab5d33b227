"""The errors of outlast, as data.

OutlastError
├── TaskNotFound              NOT_FOUND            names the task
├── TaskExists                ALREADY_EXISTS       the id is another task's
├── InvalidField              INVALID_ARGUMENT     names the field
├── IllegalTransition         FAILED_PRECONDITION  names the state
├── IdempotencyConflict       FAILED_PRECONDITION  the key was used with another body
├── LeaseLost                 LEASE_LOST           the epoch is not the task's any more
├── SessionNotFound           NOT_FOUND            names the session
├── SessionHeld               FAILED_PRECONDITION  a run of the session has not ended
├── BacklogFull               RESOURCE_EXHAUSTED   too much waits already: come again later
├── StoreRefused              STORE_REFUSED        the store will never take this
├── StoreUnavailable          UNAVAILABLE          the store cannot take anything now
├── TaskManagerUnavailable    UNAVAILABLE          the task manager is out of reach
└── StartRefused              START_REFUSED        a program cannot start; the message names cause and cure
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """What kind of error it is, for machines; the ``reason`` of the ErrorInfo on the wire."""

    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    LEASE_LOST = "LEASE_LOST"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    STORE_REFUSED = "STORE_REFUSED"
    UNAVAILABLE = "UNAVAILABLE"
    START_REFUSED = "START_REFUSED"


class OutlastError(Exception):
    """Something that outlast says no to. ``str()`` of it is for people."""

    code: ClassVar[ErrorCode]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TaskNotFound(OutlastError):
    """There is no such task."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, task: int | str) -> None:
        self.name = task if isinstance(task, str) else f"tasks/{task}"
        super().__init__(f"{self.name} does not exist")


class TaskExists(OutlastError):
    """The id of a new task is taken by another one."""

    code = ErrorCode.ALREADY_EXISTS

    def __init__(self, task_id: int) -> None:
        self.name = f"tasks/{task_id}"
        super().__init__(f"{self.name} exists and was made by somebody else")


class InvalidField(OutlastError):
    """A field of a request or an operation cannot be taken."""

    code = ErrorCode.INVALID_ARGUMENT

    def __init__(self, field: str, why: str) -> None:
        self.field = field
        self.why = why
        super().__init__(f"{field}: {why}")


class IllegalTransition(OutlastError):
    """The state of the task does not allow it."""

    code = ErrorCode.FAILED_PRECONDITION

    def __init__(self, task_id: int, state: str, wanted: str) -> None:
        self.name = f"tasks/{task_id}"
        self.state = state
        super().__init__(f"{self.name} is {state} and cannot become {wanted}")


class IdempotencyConflict(OutlastError):
    """The idempotency key belongs to a task that was created from another request."""

    code = ErrorCode.FAILED_PRECONDITION

    def __init__(self, key: str, task_id: int) -> None:
        self.name = f"tasks/{task_id}"
        self.state = "IDEMPOTENCY_KEY_USED"
        super().__init__(f"idempotency key {key!r} was used for {self.name} with another request")


class LeaseLost(OutlastError):
    """The worker's epoch does not own the task, or the attempt is not its newest (promise 5)."""

    code = ErrorCode.LEASE_LOST

    def __init__(self, task_id: int, epoch: int, owner: int, *, attempt: int = 0) -> None:
        """``attempt`` is the one that is over, where the epoch is right."""
        self.name = f"tasks/{task_id}"
        over = f"attempt {attempt} of {self.name} is over"
        super().__init__(over if attempt else f"{self.name} is held under epoch {owner}, not {epoch}")


class SessionNotFound(OutlastError):
    """There is no such session."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} does not exist")


class SessionHeld(OutlastError):
    """A run of the session has not ended, or the run that asks is not its newest."""

    code = ErrorCode.FAILED_PRECONDITION

    def __init__(self, name: str, host: str) -> None:
        self.name = name
        #: The host that owns the session.
        self.host = host
        super().__init__(f"{name} is held by the host {host!r}")


class BacklogFull(OutlastError):
    """Too much waits already; nothing was recorded, and coming again later is right."""

    code = ErrorCode.RESOURCE_EXHAUSTED


class StoreRefused(OutlastError):
    """The store will not take this, however often it is tried."""

    code = ErrorCode.STORE_REFUSED


class StoreUnavailable(OutlastError):
    """The store cannot take anything at the moment; the message says why."""

    code = ErrorCode.UNAVAILABLE


class TaskManagerUnavailable(OutlastError):
    """The task manager is out of reach and nothing more can be queued for it."""

    code = ErrorCode.UNAVAILABLE


class StartRefused(OutlastError):
    """A program cannot start; the message is one line that names cause and cure."""

    code = ErrorCode.START_REFUSED
