"""A task as the store keeps it: a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from types import MappingProxyType

from outlast.core.state import TaskState
from outlast.core.value import value

NO_LABELS: Mapping[str, str] = MappingProxyType({})


@value(frozen=True, slots=True)
class TaskError:
    """What went wrong: the outcome of a FAILED or CANCELED task."""

    #: A canonical gRPC code (google.rpc.Code): 1 CANCELLED, 2 UNKNOWN for what user code raised, and so on.
    code: int
    #: For people; ``str()`` of the exception.
    message: str
    #: The name of the exception's class or a reason in UPPER_SNAKE_CASE; the span's ``error.type``.
    type: str


@value(frozen=True, slots=True)
class TraceContext:
    """W3C trace context, as its two headers carry it; empty strings where there is none."""

    traceparent: str = ""
    tracestate: str = ""


NO_TRACE = TraceContext()


@value(frozen=True, slots=True)
class Progress:
    """How far a task has come."""

    #: The part that is done, 0 to 1; None when the task gave none.
    fraction: float | None
    #: What it is doing, for people.
    message: str
    #: When it said so, by the worker's clock.
    reported_at: datetime


@value(frozen=True, slots=True)
class Task:
    """A unit of background work. Times are UTC with microseconds; user JSON is bytes, never parsed here."""

    task_id: int
    task_type: str
    agent: str
    state: TaskState
    state_reason: str = ""
    session_id: str = ""
    request_id: str = ""
    #: The worker and the epoch of its lease that hold the task; empty and 0 while nobody does. A terminal task keeps
    #: those that held it last.
    worker_id: str = ""
    epoch: int = 0
    #: The sequence of the operation that made the task, with the worker that sent it: who may say "my create again".
    created_by: tuple[str, int] = ("", 0)
    attempt: int = 0
    max_attempts: int = 1
    generation: int = 0
    progress: Progress | None = None
    result: bytes | None = None
    error: TaskError | None = None
    #: The recorded arguments, `{"args": [...], "kwargs": {...}}`; None when they were not recorded.
    input: bytes | None = None
    metadata: bytes | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    trace_context: TraceContext = NO_TRACE
    idempotency_key: str = ""
    #: How long one attempt may take; None for ever.
    timeout: timedelta | None = None
    #: The wait before the second attempt; it doubles with each further one. None for DEFAULT_BACKOFF.
    backoff: timedelta | None = None
    #: How long it may wait for a worker; None for the policy's.
    queue_timeout: timedelta | None = None
    #: Tracked by hand: there is no code that a cancel could reach.
    manual: bool = False
    #: While SUBMITTED: when the next attempt may start; None for at once. By the store's clock.
    next_attempt_at: datetime | None = None
    #: While SUBMITTED and nobody's: when it has waited too long; None for never. By the store's clock.
    queue_until: datetime | None = None
    #: When a cancel that was not followed ends the task; None for never. By the store's clock.
    cancel_until: datetime | None = None
    #: By the store's clock.
    created_at: datetime | None = None
    updated_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    expires_at: datetime | None = None
    #: By the clock of the worker that ran it.
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def name(self) -> str:
        """The resource name, ``tasks/{task_id}``."""
        return f"tasks/{self.task_id}"

    @property
    def duration(self) -> timedelta:
        """From the start of the newest attempt to the end of the task; zero while either is missing."""
        if self.started_at is None or self.ended_at is None:
            return timedelta()
        return self.ended_at - self.started_at
