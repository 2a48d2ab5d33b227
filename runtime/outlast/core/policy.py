"""What the people who run a task manager decide: how long things may take and be kept, and how many may wait."""

from __future__ import annotations

from datetime import timedelta

from outlast.core.value import value


@value(frozen=True, slots=True)
class Policy:
    """The rules that every store and every task manager of one database should share."""

    #: How long a worker's lease holds without a sign of life.
    lease_ttl: timedelta = timedelta(seconds=15)
    #: How long a terminal task is kept; None for ever.
    retention: timedelta | None = timedelta(days=7)
    #: How long code may take to follow a cancel before a forced one, or one of a manual task, ends the task.
    cancel_grace: timedelta = timedelta(seconds=10)
    #: How long a submitted task may wait for a worker where it says nothing itself; None for ever.
    queue_timeout: timedelta | None = timedelta(days=1)
    #: How long an idempotency key is remembered.
    idempotency_ttl: timedelta = timedelta(hours=24)
    #: How many tasks of one agent may wait for a worker; more are refused (RESOURCE_EXHAUSTED).
    max_backlog: int = 10_000
    #: Whether a terminal task with a sampled trace gets a row in the span outbox: there is somebody to export it.
    spans: bool = False
    #: For how long that row is the row of the process that has ended the task, where it makes the span of what it has
    #: in memory: of a task of one attempt. Zero where it does not, and whoever looks first may have the row.
    own_spans: timedelta = timedelta()


DEFAULT_POLICY = Policy()

#: The longest wait between two attempts, however often a task has failed.
MAX_BACKOFF = timedelta(hours=1)
#: The first wait between two attempts where a task says nothing itself; it doubles with each attempt.
DEFAULT_BACKOFF = timedelta(seconds=1)
