"""Why a program could not be started, for people: the cause, and what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from outlastd.session_host.ports import LaunchFailed, LaunchOrder


def launch_failed(order: LaunchOrder, argv: Sequence[str], step: str, number: int) -> LaunchFailed:
    """Return what is raised when ``step`` of a start failed with an error number."""
    return LaunchFailed(f"{order.name}: {_why(order, argv[0], step, number)}")


def _why(order: LaunchOrder, program: str, step: str, number: int) -> str:
    system = os.strerror(number)
    user = "" if order.uid is None else f" by the user {order.uid}, which is the session's own"
    cure = 'make it so for all users, move it, or set users = "off"' if user else "make it so"
    match step, number:
        case "lock", _:
            return "processes of an earlier run of the session have not ended yet"
        case "program", errno.ENOENT if "/" in program:
            return f"there is no program {program}, or not the interpreter that its first line names"
        case "program", errno.ENOENT:
            path = order.environment.get("PATH", os.defpath)
            return f"there is no program {program} on the session's PATH ({path}): give its whole path"
        case "program", errno.EACCES:
            return f"{program} may not be executed{user}: {cure}"
        case "program", errno.ENOEXEC:
            return f"{program} is no program of this machine; a script begins with a line such as #!/bin/sh"
        case "program", errno.E2BIG:
            return "its arguments and its environment are larger than the system takes"
        case "program" | "fork", errno.EAGAIN:
            return "there are too many processes: raise max_processes, or the system's limit"
        case "directory", _:
            return f"its folder {order.directory} cannot be entered{user} ({system})" + (f": {cure}" if user else "")
        case "user", _:
            return f'it cannot become the user {order.uid} ({system}); hosts that are not root set users = "off"'
    return f"it could not be started ({step}: {system})"
