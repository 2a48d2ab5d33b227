"""Where a process of this machine keeps its files: the store, its socket and its lock."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from outlast.core.errors import StartRefused
from outlast.core.value import value
from outlast.limits import MAX_SOCKET_PATH


@value(frozen=True, slots=True)
class Places:
    """The files of one process with an embedded task manager."""

    #: The Unix socket that its worker reaches the task manager by.
    socket: Path
    #: The file that it holds a lock on while it lives; None where the store is not on this machine: whoever else reads
    #: its name there would look for the file on another one.
    lock: Path | None

    def clear(self) -> None:
        """Remove the socket; the store stays, and the lock file goes when the lock does."""
        self.socket.unlink(missing_ok=True)
        if self.lock is None or self.socket.parent != self.lock.parent:
            self.socket.parent.rmdir()


def make_folder(folder: Path, store: Path) -> None:
    """Make a folder for a store, for this user's eyes only.

    Raises:
        StartRefused: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        raise StartRefused(
            f"the store {store} is not writable: {error.strerror} ({error.filename}); "
            "name another with --store sqlite:///PATH or OUTLAST_STORE"
        ) from error


def make_places(store: Path | None, worker_id: str) -> Places:
    """Make the folders for a worker, and for a store that is a file. Raises StartRefused when they cannot be had."""
    if store is None:
        return Places(socket=_private_socket(), lock=None)
    run = store.parent / "run"
    make_folder(store.parent, store)
    make_folder(run, store)
    socket = run / f"{worker_id}.sock"
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
        socket = _private_socket()
    return Places(socket=socket, lock=run / f"{worker_id}.lock")


def _private_socket() -> Path:
    """Return the path of a socket in a folder of its own, which only this user may enter."""
    try:
        return Path(tempfile.mkdtemp(prefix="outlast-")) / "worker.sock"
    except OSError as error:  # a root file system that cannot be written, and nothing mounted for such files
        raise StartRefused(
            f"no temporary folder can be written ({error.strerror}): set TMPDIR to one that can"
        ) from error
