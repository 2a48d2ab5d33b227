"""Events in a terminal: a bar for each task at work, and what else there is to say above."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.text import Text

from outlast.cli.printing import note, one_line
from outlast.cli.watch_lines import Story
from outlast.core.state import TaskState
from outlast.v1 import task_pb2


class Bars:
    """Moves a bar with each report of progress. Entered before the first event, and left after the last."""

    def __init__(self, *, names: bool) -> None:
        """``names``: whether each line says whose event it is."""
        self._story = Story(names=names)
        self._console = Console(highlight=False)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Percent(),
            _Elapsed(),
            TextColumn("{task.fields[message]}", markup=False),
            console=self._console,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def event(self, event: task_pb2.TaskEvent, cursor: str) -> None:
        """Move the task's bar, or print the lines of an event."""
        if event.kind == task_pb2.TaskEvent.PROGRESSED:
            progress = event.progress
            self._progress.update(
                self._bar(event),
                total=1.0 if progress.HasField("fraction") else None,
                completed=progress.fraction,
                message=one_line(progress.message),
            )
            return
        if event.kind == task_pb2.TaskEvent.STATE_CHANGED:
            if TaskState(event.state) is TaskState.WORKING:
                self._bar(event)
            elif (bar := self._bars.pop(event.task, None)) is not None:
                self._progress.remove_task(bar)
        for line in self._story.lines(event):
            self._console.print(Text(line))

    def note(self, text: str) -> None:
        """Say it on standard error; above the bars where that is the terminal too."""
        note(text)

    def _bar(self, event: task_pb2.TaskEvent) -> TaskID:
        if event.task not in self._bars:
            self._bars[event.task] = self._progress.add_task(
                event.task.removeprefix("tasks/"), total=None, message="", since=event.event_time.ToDatetime(UTC)
            )
        return self._bars[event.task]


class _Percent(TaskProgressColumn):
    """The percentage; nothing where the task has named none."""

    def render(self, task: Task) -> Text:
        return Text("") if task.total is None else super().render(task)


class _Elapsed(ProgressColumn):
    """How long the attempt has run, also where it began before it was watched."""

    def render(self, task: Task) -> Text:
        passed = max(datetime.now(UTC) - task.fields["since"], timedelta())
        return Text(str(timedelta(seconds=int(passed.total_seconds()))), style="progress.elapsed")
