"""What a worker does to its tasks: values that travel up the worker stream and are applied by the lifecycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta

from outlast.core.state import TaskState
from outlast.core.task import NO_LABELS, NO_TRACE, Progress, TaskError, TraceContext
from outlast.core.value import value


@value(frozen=True, slots=True)
class Start:
    """Begin an attempt; creates the task where its id is new."""

    task_type: str
    session_id: str = ""
    request_id: str = ""
    metadata: bytes | None = None
    input: bytes | None = None
    trace_context: TraceContext = NO_TRACE
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS)
    max_attempts: int = 1
    timeout: timedelta | None = None
    #: The wait before the second attempt; it doubles with each further one. None for DEFAULT_BACKOFF.
    backoff: timedelta | None = None
    #: Tracked by hand: there is no code that a cancel could reach.
    manual: bool = False


@value(frozen=True, slots=True)
class Submit:
    """Record a task that waits in this very worker, because it has no room for it now; a Start begins it later."""

    start: Start
    state_reason: str = ""


@value(frozen=True, slots=True)
class Report:
    """Report progress."""

    progress: Progress


@value(frozen=True, slots=True)
class Output:
    """Emit output: a JSON array of chunks."""

    chunks: bytes


@value(frozen=True, slots=True)
class Finish:
    """End the attempt: COMPLETED with a result, FAILED or CANCELED with an error.

    A task whose attempt FAILED runs again where its policy says so (lifecycle.may_run_again).
    """

    state: TaskState
    state_reason: str = ""
    result: bytes | None = None
    error: TaskError | None = None


Action = Start | Submit | Report | Output | Finish


@value(frozen=True, slots=True)
class Operation:
    """One action on one task, with its place in the worker's own count."""

    #: 1, 2, 3 and so on for each worker: the only thing that makes a repeat do nothing.
    sequence: int
    task_id: int
    #: When the worker did it, by its clock.
    at: datetime
    action: Action
    #: The attempt that says so; 0 where none has begun, or where the worker does not say.
    attempt: int = 0

    @property
    def size(self) -> int:
        """Roughly how many bytes the operation takes on the wire: its user JSON, and some for the rest."""
        # By type and not by pattern: asked twice of every operation, and a pattern takes four times as long.
        action = self.action
        if type(action) is Finish:
            return 512 + len(action.result or b"")
        if type(action) is Output:
            return 128 + len(action.chunks)
        if type(action) is Report:
            return 512
        start = action.start if isinstance(action, Submit) else action
        assert isinstance(start, Start)
        return 512 + len(start.metadata or b"") + len(start.input or b"")
