"""The lock of a session: whoever holds it has processes of the session, or may have."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress


def try_lock(path: str) -> int | None:
    """Make the file and lock it; return the descriptor that holds the lock, None while somebody else does."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it meanwhile: make another


def unlock(path: str, descriptor: int) -> None:
    """Remove the file and let the lock go."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    os.close(descriptor)


def _is_file_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
