"""What a client asks the program to do, at random but from a seed."""

from __future__ import annotations

import random
from typing import Any

#: The task types of programs/matrix.py that run once only, and those that run again.
ONCE = ("once_async", "once_sync")
AGAIN = ("again_async", "again_sync")
BY_HAND = "by_hand"
#: How many attempts a task of AGAIN may have.
ATTEMPTS = 3

Plan = dict[str, Any]


def plan(choice: random.Random, seconds: float | None = None) -> Plan:
    """Return the plan of one task: any kind, mostly short, some failing, some with output."""
    kind = choice.choice((*ONCE, *AGAIN, BY_HAND))
    failures = choice.choices((0, 1, ATTEMPTS), (8, 2, 1))[0]
    return {
        "kind": kind,
        "seconds": round(choice.choice((0, 0.1, 0.3, 0.6, 2.0)), 3) if seconds is None else seconds,
        "failures": failures,
        "chunks": 0 if kind == BY_HAND else choice.choice((0, 0, 1, 5)),
    }


def arguments(task: Plan) -> dict[str, Any]:
    """Return the arguments of a plan as CreateTask takes them."""
    return {"args": [], "kwargs": {name: value for name, value in task.items() if name != "kind"}}
