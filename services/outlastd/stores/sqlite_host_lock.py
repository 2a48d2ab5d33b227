"""A file beside a SQLite store that a session host holds a lock on while it lives."""

from __future__ import annotations

from pathlib import Path

from outlast.core.errors import StartRefused
from outlastd.file_lock import try_lock, unlock
from outlastd.stores import host_name


class HostLock:
    """The lock for a host's name. The kernel lets it go when the process ends, however it ends. Its methods block."""

    def __init__(self, store: Path, host: str) -> None:
        self._store = store
        self._host = host
        # The database itself is never opened here: closing it would drop SQLite's own locks.
        database = store.resolve()  # hosts may know it by different links
        self._path = database.with_name(f"{database.name}-host-{host_name.digest(host).hex()}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the file and lock it.

        Raises:
            StartRefused: another has the lock, or the file cannot be made.
        """
        try:
            self._descriptor = try_lock(self._path)
        except OSError as error:
            raise StartRefused(
                f"the lock {self._path} cannot be had: {error.strerror}: "
                "make the store's folder writable, or choose another file for the store"
            ) from error
        if self._descriptor is None:
            raise host_name.taken(self._host, f"the store {self._store}")

    def release(self) -> None:
        """Remove the file and let the lock go; nothing where it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            unlock(self._path, descriptor)
