"""A task at work is found in a trace: its own span comes when it has ended, and this says that it has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from outlast.core.event import Change, EventKind
from outlast.core.state import TaskState
from outlast.core.task import Task
from outlast.core.value import value
from outlast.telemetry import tracing
from outlast.telemetry.made_spans import spans_of
from outlast.telemetry.task_span import started_spans

#: Seconds after which an attempt that still runs gets such a span: the trace of a short task has none of it.
PATIENCE_SECONDS = 1.0
#: Seconds in which attempts gather, and after which an export that failed is tried again.
GATHER_SECONDS, RETRY_SECONDS = 0.1, 5.0
#: Attempts that may wait for their span, and that are exported at a time.
MAX_WAITING, MAX_BATCH = 10_000, 256
#: Bytes of arguments that are held on to with a task; to do without them takes longer than to hold a few.
MAX_INPUT_BYTES = 1_024


@value(frozen=True, slots=True)
class _Begun:
    """An attempt that runs, and when its span is due by the loop's clock."""

    task: Task
    due: float


class StartedSpans:
    """Exports a span for each attempt that runs for longer than a moment; on the services' loop.

    Best effort: only the task manager that recorded the begin does so, from memory. A repeat is the same span.
    """

    def __init__(self) -> None:
        #: By task id, in the order in which they are due.
        self._waiting: dict[int, _Begun] = {}
        self._some = asyncio.Event()

    def note(self, change: Change) -> None:
        """Take notice of a committed change."""
        if change.event.kind is not EventKind.STATE_CHANGED:
            return
        task = change.task
        self._waiting.pop(task.task_id, None)
        if change.event.state is TaskState.WORKING and len(self._waiting) < MAX_WAITING:
            if len(task.input or b"") > MAX_INPUT_BYTES:
                task = replace(task, input=None)
            self._waiting[task.task_id] = _Begun(task, asyncio.get_running_loop().time() + PATIENCE_SECONDS)
            self._some.set()

    async def run(self) -> None:
        """Export until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._some.clear()
            first = next(iter(self._waiting.values()), None)
            if first is None:
                await self._some.wait()
                continue
            await asyncio.sleep(max(first.due - loop.time(), GATHER_SECONDS))
            if not await self._export(self._due(loop.time())):
                await asyncio.sleep(RETRY_SECONDS)

    def _due(self, now: float) -> Sequence[_Begun]:
        due: list[_Begun] = []
        for begun in self._waiting.values():
            if begun.due > now or len(due) == MAX_BATCH:
                break
            due.append(begun)
        return due

    async def _export(self, due: Sequence[_Begun]) -> bool:
        """Export the spans of some; return whether they need no second try."""
        active = tracing.active()
        if active is not None and due:
            spans = [(begun.task, partial(started_spans, begun.task)) for begun in due]
            taken = active.delivery.begin(lambda: spans_of(spans, active))
            try:
                # Whoever exports may take its time; what it says later is of no use to a task manager that stops.
                if not await asyncio.shield(asyncio.wrap_future(taken)):
                    return False
            except Exception:  # of an exporter, which may be the program's own; the outbox tells of an outage
                return False
        for begun in due:
            if self._waiting.get(begun.task.task_id) is begun:
                del self._waiting[begun.task.task_id]
        return True
