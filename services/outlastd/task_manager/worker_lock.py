"""A file that a worker holds a lock on while it lives: tells a dead worker from a slow one, on one machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from outlast.core.worker import Worker
from outlastd.file_lock import is_file_at, lock, unlock


class WorkerLock:
    """The lock of this process's worker. The kernel lets it go when the process ends, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        _held.add(self)

    @classmethod
    def acquire(cls, path: Path) -> WorkerLock:
        """Make the file and lock it. Blocks, though not for long; raises OSError when the file cannot be made."""
        return cls(path, lock(path))

    def release(self) -> None:
        """Remove the file and let the lock go; a second time does nothing."""
        if self in _held:
            _held.discard(self)
            unlock(self.path, self._descriptor)

    def _close(self) -> None:
        _held.discard(self)
        os.close(self._descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. A file that nobody holds is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_file_at(path, descriptor):
            path.unlink()
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def is_alive(worker: Worker) -> bool:
    """Whether a worker of this machine lives, by its lock; one without a lock is not ours to judge."""
    return not worker.lock_path or is_held(Path(worker.lock_path))


#: The locks of this process. A child of a fork would keep them held after its parent's death.
_held: set[WorkerLock] = set()


def _close_in_child() -> None:
    for held in list(_held):
        held._close()


os.register_at_fork(after_in_child=_close_in_child)
