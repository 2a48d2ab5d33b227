"""The events of a task: what changed, numbered without a gap."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from outlast.core.state import TaskState
from outlast.core.task import Progress, Task, TaskError
from outlast.core.value import value


class EventKind(IntEnum):
    """What changed; numbers as ``TaskEvent.Kind`` in the proto."""

    STATE_CHANGED = 1
    PROGRESSED = 2
    OUTPUT = 3
    CANCEL_REQUESTED = 4


@value(frozen=True, slots=True)
class TaskEvent:
    """One change of one task."""

    task_id: int
    #: 1, 2, 3 and so on for each task, without a gap (promise 3).
    generation: int
    kind: EventKind
    #: When it was recorded, by the store's clock.
    at: datetime
    #: Where the task stood after the event.
    state: TaskState
    state_reason: str = ""
    attempt: int = 0
    progress: Progress | None = None
    #: The chunks emitted since the last event, a JSON array.
    output: bytes | None = None
    result: bytes | None = None
    error: TaskError | None = None


@value(frozen=True, slots=True)
class Change:
    """A task after one event, and the event: what the store writes, and lines, spans and watchers are made from."""

    task: Task
    event: TaskEvent
