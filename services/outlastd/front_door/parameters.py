"""What stands in the query of a request to ``/tasks``: read, or refused with the name of the parameter."""

from __future__ import annotations

import math

from outlast.v1 import task_pb2
from outlastd.front_door.request import Refusal, Request

#: Seconds: longer than anybody means, and as much as the task manager takes.
_LONGEST = 3_650 * 86_400.0


def states(request: Request) -> list[task_pb2.Task.State.ValueType]:
    """Return the states that are asked for: ``state`` several times, or with commas between; any case."""
    given = request.query.get("state", [])
    names = [name.strip().upper() for value in given for name in value.split(",") if name.strip()]
    known = set(task_pb2.Task.State.keys()) - {"STATE_UNSPECIFIED"}
    if unknown := sorted(set(names) - known):
        raise refused("state", f"{', '.join(unknown)} is no state")
    return [task_pb2.Task.State.Value(name) for name in names]


def whole(request: Request, name: str, highest: int, header: str | None = None) -> int:
    """Return a number from 0; an empty one is 0, one over ``highest`` is that. ``header`` wins where it is given."""
    text = (header or request.parameter(name)).strip()
    if text and not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise refused(name, f"{text!r} is no whole number")
    return min(int(text or "0"), highest)


def seconds(request: Request, name: str) -> float | None:
    """Return a number of seconds; None where there is none."""
    text = request.parameter(name)
    if not text:
        return None
    try:
        given = float(text)
    except ValueError:
        given = math.nan
    if not given >= 0:
        raise refused(name, f"{text!r} is no number of seconds")
    return min(given, _LONGEST)


def flag(request: Request, name: str) -> bool:
    """Return whether something is asked for: ``?name``, ``?name=true`` or ``?name=1``."""
    if name not in request.query:
        return False
    match request.parameter(name).lower():
        case "" | "true" | "1":
            return True
        case "false" | "0":
            return False
        case text:
            raise refused(name, f"{text!r} is neither true nor false")


def refused(name: str, why: str) -> Refusal:
    """Return the refusal of a parameter."""
    return Refusal(400, f"{name}: {why}", code="INVALID_ARGUMENT", field=name)
