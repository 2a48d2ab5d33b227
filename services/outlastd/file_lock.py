"""Files that a process holds a lock on while it lives: the kernel lets the lock go however the process ends.

A file goes with its lock, and whoever waits for it then makes another: a lock counts only on the file that is at the
path. The standard library alone is used: the spawner of sessions loads this too.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress


def lock(path: str | os.PathLike[str]) -> int:
    """Make the file and lock it, once nobody else holds it; return the descriptor that holds the lock."""
    return _lock(path, fcntl.LOCK_EX)


def try_lock(path: str | os.PathLike[str]) -> int | None:
    """Make the file and lock it; return the descriptor that holds the lock, None while somebody else does."""
    try:
        return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def unlock(path: str | os.PathLike[str], descriptor: int) -> None:
    """Remove the file, if it is still this one, and let the lock go."""
    try:
        if is_file_at(path, descriptor):
            with suppress(FileNotFoundError):
                os.unlink(path)
    finally:
        os.close(descriptor)


def is_file_at(path: str | os.PathLike[str], descriptor: int) -> bool:
    """Tell whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(path: str | os.PathLike[str], operation: int) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, operation)
            if is_file_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it meanwhile: make another
