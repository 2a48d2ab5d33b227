"""Tasks on the terminal: tables for people, the proto's JSON mapping for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from outlast.cli.printing import console, duration, one_line, plain, print_json
from outlast.core.state import TaskState
from outlast.telemetry.trace_link import trace_link
from outlast.v1 import task_pb2
from outlast.wire.errors import task_error_from_status
from outlast.wire.json_text import task_text

_COLOURS = {
    TaskState.COMPLETED: "green",
    TaskState.FAILED: "red",
    TaskState.REJECTED: "red",
    TaskState.CANCELED: "yellow",
    TaskState.WORKING: "cyan",
}


def print_tasks(tasks: Sequence[task_pb2.Task]) -> None:
    """Print a table of tasks."""
    if not tasks:
        print("no tasks")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in ("ID", "TYPE", "STATE", "AGENT", "SESSION", "CREATED", "DURATION"):
        table.add_column(header, no_wrap=header in ("ID", "STATE", "CREATED", "DURATION"), overflow="ellipsis")
    for task in tasks:
        table.add_row(
            Text(str(task.task_id)),
            Text(one_line(task.task_type)),
            _state(task),
            Text(one_line(task.agent)),
            Text(one_line(task.session_id)),
            Text(_time(task.create_time)),
            Text(_duration(task)),
        )
    console().print(table)


def print_task(task: task_pb2.Task, trace_url: str, *, as_json: bool = False) -> None:
    """Print one task: a line a field, or as JSON; with a link to its trace where ``trace_url`` says where that is."""
    if as_json:
        print_json(_json(task, trace_url))
        return
    rows: list[tuple[str, str | Text]] = [
        ("ID", str(task.task_id)),
        ("type", task.task_type),
        ("state", _state(task)),
        ("agent", task.agent),
        ("session", task.session_id),
        ("request", task.request_id),
        ("worker", task.worker_id),
        ("attempt", f"{task.attempt} of {task.max_attempts}"),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted(task.labels.items()))),
        ("created", _time(task.create_time)),
        ("next attempt", _time(task.next_attempt_time)),
        ("cancel asked", _time(task.cancel_request_time)),
        ("duration", _duration(task)),
        ("progress", _progress(task)),
        ("trace", _link(task, trace_url) or task.trace_context.traceparent),
        *((name, _pretty(getattr(task, name))) for name in ("metadata", "input")),
        ("error", _error(task)),
        ("result", _pretty(task.result)),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value:
            grid.add_row(Text(name, style="dim"), value if isinstance(value, Text) else Text(plain(value)))
    console().print(grid)


def print_tasks_as_json(tasks: Sequence[task_pb2.Task], trace_url: str) -> None:
    """Print ``{"tasks": [...]}``."""
    print_json({"tasks": [_json(task, trace_url) for task in tasks]})


def _json(task: task_pb2.Task, trace_url: str) -> dict[str, Any]:
    """Return the proto's JSON mapping, and behind it what this machine knows: where the trace is looked at."""
    found: dict[str, Any] = json.loads(task_text(task))
    link = _link(task, trace_url)
    return found | {"traceUrl": link} if link else found


def _link(task: task_pb2.Task, trace_url: str) -> str:
    return trace_link(trace_url, task.trace_context.traceparent)


def _state(task: task_pb2.Task) -> Text:
    state = TaskState(task.state)
    reason = f" ({one_line(task.state_reason)})" if task.state_reason else ""
    return Text(state.name + reason, style=_COLOURS.get(state, ""))


def _time(at: Timestamp) -> str:
    """Return a time in the zone of whoever looks; empty where it is not set."""
    return at.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at.seconds else ""


def _duration(task: task_pb2.Task) -> str:
    if not task.HasField("start_time"):
        return ""
    end = task.end_time.ToDatetime(UTC) if task.HasField("end_time") else datetime.now(UTC)
    return duration(max(end - task.start_time.ToDatetime(UTC), timedelta()))


def _progress(task: task_pb2.Task) -> str:
    progress = task.progress
    fraction = f"{progress.fraction:.0%} " if progress.HasField("fraction") else ""
    return f"{fraction}{progress.message}".strip()


def _error(task: task_pb2.Task) -> str:
    """Return what went wrong, with the kind of error that the details name."""
    if not task.HasField("error"):
        return ""
    error = task_error_from_status(task.error)
    return f"{error.type}: {error.message}" if error.type else error.message


def _pretty(text: str) -> str:
    return json.dumps(json.loads(text), ensure_ascii=False, indent=2) if text else ""
