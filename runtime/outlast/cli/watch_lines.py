"""Events as lines: for people where the output is no terminal, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from outlast.cli.printing import note, one_line, plain, print_json_line, print_line
from outlast.core.state import TERMINAL, TaskState
from outlast.v1 import task_pb2
from outlast.wire.errors import task_error_from_status
from outlast.wire.json_text import event_text, session_event_text


class Lines:
    """Prints each event as a line, or as several where there is much to say."""

    def __init__(self, *, names: bool) -> None:
        """``names``: whether a line says whose event it is."""
        self._story = Story(names=names)

    def event(self, event: task_pb2.TaskEvent, cursor: str) -> None:
        """Print the lines of an event."""
        for line in self._story.lines(event):
            print_line(line)

    def note(self, text: str) -> None:
        """Say it on standard error."""
        note(text)


class JsonLines:
    """Prints each event as one line of JSON; of a session, with its cursor."""

    def event(self, event: task_pb2.TaskEvent, cursor: str) -> None:
        """Print the event."""
        print_json_line(session_event_text(event, cursor) if cursor else event_text(event))

    def note(self, text: str) -> None:
        """Say it on standard error."""
        note(text)


class Story:
    """Tells events in words."""

    def __init__(self, *, names: bool) -> None:
        self._names = names
        #: When the newest attempt of each task began.
        self._began: dict[str, datetime] = {}

    def lines(self, event: task_pb2.TaskEvent) -> Iterator[str]:
        """Return what there is to say of an event."""
        at = event.event_time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        whose = f"{event.task.removeprefix('tasks/')}  " if self._names else ""
        for text in self._told(event):
            yield f"{at}  {whose}{plain(text)}"

    def _told(self, event: task_pb2.TaskEvent) -> Iterator[str]:
        match event.kind:
            case task_pb2.TaskEvent.PROGRESSED:
                yield f"progress {progress_text(event.progress)}"
            case task_pb2.TaskEvent.OUTPUT:
                for chunk in chunks(event.output):
                    yield f"output {chunk}"
            case task_pb2.TaskEvent.CANCEL_REQUESTED:
                yield "somebody asked to cancel it"
            case _:
                yield self._state(event)
                if event.result:
                    yield f"result {compact(json.loads(event.result))}"

    def _state(self, event: task_pb2.TaskEvent) -> str:
        state = TaskState(event.state)
        text = state.name
        if event.state_reason:
            text += f" ({one_line(event.state_reason)})"
        if state is TaskState.WORKING:
            self._began[event.task] = event.event_time.ToDatetime(UTC)
            if event.attempt > 1:
                text += f", attempt {event.attempt}"
        elif state in TERMINAL and (began := self._began.pop(event.task, None)) is not None:
            text += f" after {(event.event_time.ToDatetime(UTC) - began).total_seconds():.2f}s"
        if event.HasField("error"):
            error = task_error_from_status(event.error)
            text += f": {one_line(f'{error.type}: {error.message}' if error.type else error.message)}"
        return text


def progress_text(progress: task_pb2.Progress) -> str:
    """Return how far a task says it has come."""
    fraction = f"{progress.fraction:.0%} " if progress.HasField("fraction") else ""
    return f"{fraction}{one_line(progress.message)}".strip()


def chunks(output: str) -> Iterator[str]:
    """Return the chunks of an output event; texts that follow each other are one, by its lines."""
    text = ""
    for chunk in json.loads(output):
        if isinstance(chunk, str):
            text += chunk
            continue
        yield from text.splitlines()
        text = ""
        yield compact(chunk)
    yield from text.splitlines()


def compact(value: Any) -> str:
    """Return a JSON value as one line."""
    return json.dumps(value, ensure_ascii=False)
