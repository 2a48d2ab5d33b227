"""Tasks as HTTP and the command line show them: the proto's JSON mapping, but user JSON is the value itself."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as _error_details  # noqa: F401 (registers what stands in error.details)

from outlast.v1 import task_pb2, task_service_pb2

#: The fields that hold JSON text.
_TASK_FIELDS = ("result", "input", "metadata")
_EVENT_FIELDS = ("output", "result")
#: A string, which is left alone, or a token that Python writes for a number that JSON has not.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)', re.DOTALL)


def task_text(task: task_pb2.Task) -> str:
    """Return a task as JSON text."""
    return _text(task, _TASK_FIELDS)


def event_text(event: task_pb2.TaskEvent) -> str:
    """Return an event as JSON text."""
    return _text(event, _EVENT_FIELDS)


def session_event_text(event: task_pb2.TaskEvent, cursor: str) -> str:
    """Return an event as JSON text, with the ``cursor`` that goes on behind it among the events of its session."""
    return f'{event_text(event)[:-1]}, "cursor": {json.dumps(cursor)}}}'


def page_text(page: task_service_pb2.ListTasksResponse) -> str:
    """Return a page of tasks as JSON text; ``tasks`` is there even when it is empty."""
    tasks = ", ".join(task_text(task) for task in page.tasks)
    token = f', "nextPageToken": {json.dumps(page.next_page_token)}' if page.next_page_token else ""
    return f'{{"tasks": [{tasks}]{token}}}'


def _text(message: Message, fields: tuple[str, ...]) -> str:
    shown = _as_dict(message)
    shown.setdefault("state", "STATE_UNSPECIFIED")
    # Spliced in, not parsed: big integers and long fractions stay to the digit what the program wrote.
    members = (
        f"{json.dumps(name)}: {_strict(value) if name in fields else json.dumps(value)}"
        for name, value in shown.items()
    )
    return f"{{{', '.join(members)}}}"


def _as_dict(message: Message) -> dict[str, Any]:
    try:
        return MessageToDict(message)
    except TypeError:  # a detail of somebody else's in the error, whose type nobody here knows
        known = type(message)()
        known.CopyFrom(message)
        del known.error.details[:]  # type: ignore[attr-defined]
        return MessageToDict(known)


def _strict(text: str) -> str:
    """Return JSON text with NaN and the infinities as strings, as the proto's JSON mapping has them."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return _TOKEN.sub(lambda token: f'"{token[1]}"' if token[1] else token[0], text)
