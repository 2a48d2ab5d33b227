"""Everything that a process has started: found, and ended, also when it has left its group and its parents.

On Linux whoever adopts is given every process below it that loses its parent: nobody gets away by forking twice.
Elsewhere there is no such thing: what leaves its process group there is not found.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

_SET_DEATH_SIGNAL = 1
_SET_NO_NEW_PRIVILEGES = 38
_SET_CHILD_SUBREAPER = 36

#: Whether the system says whose child a process is, and gives us those that lose their parents.
LISTED = sys.platform == "linux" and os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt() -> None:
    """Become the parent of every process below this one that loses its own (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends. Lost when the user changes."""
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def gain_nothing() -> None:
    """Never get more rights by running a program: what changes its user could not be ended any more."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


def children(pid: int) -> list[int]:
    """Return the children of a process, those that have ended among them; none where the system does not say."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:  # it has ended meanwhile
        pass
    return found


def descendants(pid: int) -> list[int]:
    """Return all that is below a process, parents first."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        new = children(waiting.pop())
        found += new
        waiting += new
    return found


def kill_below(pid: int) -> None:
    """Send SIGKILL to all that is below a process."""
    # Stopped first, all of them: what forks while it is killed would leave a child that is not in the list.
    stopped: set[int] = set()
    for _ in range(100):
        new = [child for child in descendants(pid) if child not in stopped]
        if not new:
            break
        for child in new:
            send(child, signal.SIGSTOP)
        stopped.update(new)
    for child in stopped:
        send(child, signal.SIGKILL)


def kill_user(uid: int) -> None:
    """Send SIGKILL to all processes of a user, which is neither root nor this process's own.

    The kernel does it in one go: nothing can fork its way out of it.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            if os.getuid() == uid and uid > 0:
                os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if it is there still."""
    with suppress(OSError):
        os.kill(pid, number)


def send_to_group(group: int, number: int) -> None:
    """Send a signal to a process group, if there is one still."""
    with suppress(OSError):
        os.killpg(group, number)
