"""The machine's process table: which processes a host has left, and what a process holds."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def marked(mark: str) -> set[int]:
    """Return the processes that have ``NAME=VALUE`` in the environment that they were started with."""
    found = set()
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
            except OSError:  # it has ended, or is somebody else's
                continue
    return found


def state(pid: int) -> str:
    """Return the state of a process, ``Z`` for one that has ended and was not waited for; empty when there is none."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children(pid: int) -> set[int]:
    """Return the processes that a process has started itself or inherited."""
    found: set[int] = set()
    for listing in _PROC.glob(f"{pid}/task/*/children"):
        try:
            found.update(map(int, listing.read_text().split()))
        except OSError:
            continue
    return found


def below(pid: int) -> set[int]:
    """Return everything that a process has started, directly or not."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = children(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(_PROC / str(pid) / "fd"))


def user(pid: int) -> int:
    """Return the user that a process runs as."""
    return (_PROC / str(pid)).stat().st_uid
