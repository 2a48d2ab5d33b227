"""Sessions on the terminal: tables for people, the session host's own JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from outlast.cli.printing import console, duration, one_line, plain, print_json
from outlast.cli.session_client import Answer

_COLOURS = {"STARTING": "yellow", "ACTIVE": "cyan", "IDLE": "green", "STOPPING": "yellow", "STOPPED": "dim"}


def print_sessions(sessions: Sequence[Answer]) -> None:
    """Print a table of sessions."""
    if not sessions:
        print("no sessions")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for header in ("AGENT", "ID", "STATE", "TASKS", "RUN", "AGE", "IDLE", "CREATED"):
        table.add_column(header, no_wrap=header not in ("AGENT", "ID"), overflow="fold")
    for session in sessions:
        table.add_row(
            *(Text(one_line(_text(session.get(name)))) for name in ("agent", "sessionId")),
            _state(session),
            *(Text(one_line(_text(session.get(name)))) for name in ("activeTasks", "run")),
            *(Text(_seconds(session.get(name))) for name in ("ageSeconds", "idleSeconds")),
            Text(_time(session.get("createTime"))),
        )
    console().print(table)


def print_sessions_as_json(sessions: Sequence[Answer]) -> None:
    """Print ``{"sessions": [...]}``."""
    print_json({"sessions": sessions})


def print_session(session: Answer, *, as_json: bool = False) -> None:
    """Print one session: a line a field, or as JSON."""
    if as_json:
        print_json(session)
        return
    rows: list[tuple[str, str | Text]] = [
        ("agent", _text(session.get("agent"))),
        ("ID", _text(session.get("sessionId"))),
        ("state", _state(session)),
        ("why", _text(session.get("endMessage"))),
        ("busy", "yes" if session.get("busy") else ""),
        ("in flight", _text(session.get("inFlight") or "")),
        ("run", _text(session.get("run"))),
        ("age", _seconds(session.get("ageSeconds"))),
        ("idle", _seconds(session.get("idleSeconds"))),
        *((name, _time(session.get(f"{field}Time"))) for name, field in _TIMES),
        ("user", _text(session.get("user"))),
        ("principal", _text(session.get("principal"))),
        ("host", _text(session.get("host"))),
        ("process", _text(session.get("pid"))),
        ("active tasks", _text(session.get("activeTasks"))),
        *(("task", _task(task)) for task in _list(session.get("tasks"))),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        if value:
            grid.add_row(Text(name, style="dim"), value if isinstance(value, Text) else Text(plain(value)))
    console().print(grid)


_TIMES = (("created", "create"), ("started", "start"), ("ready", "ready"), ("ended", "end"))


def _state(session: Answer) -> Text:
    state, reason = one_line(_text(session.get("state"))), one_line(_text(session.get("endReason")))
    return Text(f"{state} ({reason})" if reason else state, style=_COLOURS.get(state, ""))


def _task(task: Any) -> str:
    if not isinstance(task, dict):
        return ""
    return one_line(" ".join(_text(task.get(name)) for name in ("taskId", "taskType", "state", "stateReason")))


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _seconds(value: Any) -> str:
    return duration(timedelta(seconds=value)) if isinstance(value, int | float) and 0 <= value < 1e9 else ""


def _time(value: Any) -> str:
    """Return a time in the zone of whoever looks; empty where there is none."""
    try:
        return datetime.fromisoformat(_text(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return ""
