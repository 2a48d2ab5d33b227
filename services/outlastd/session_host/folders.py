"""The folders of sessions: one to work in, one for the socket, and a lock that tells whether a run is over."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outlast.core.errors import StartRefused
from outlast.core.session import SessionKey
from outlastd.file_lock import try_lock, unlock
from outlastd.session_host.socket_root import PASS_THROUGH, check_own, make_socket_root, socket_root
from outlastd.session_host.wiping import wipe

#: Seconds that the processes of an earlier run are waited for, and between two looks.
_PATIENCE = 10.0
_PAUSE = 0.05


class StillRuns(Exception):
    """Processes of a session have not ended yet."""


@dataclass(frozen=True, slots=True)
class SessionFolders:
    """Where one session has its files."""

    work: Path
    #: The folder of the socket alone.
    door: Path
    lock: Path

    @property
    def socket(self) -> Path:
        """The Unix socket at which the session's process answers."""
        return self.door / "s"

    def make(self, user: int | None) -> None:
        """Make them, empty, for the eyes of that user only. Blocks; raises OSError."""
        for folder in (self.work, self.door):
            wipe(folder)
            folder.mkdir(mode=0o700)
            if user is not None:
                os.chown(folder, user, user)

    def wipe(self) -> None:
        """Remove them, once no process of the session is left. Blocks.

        Raises:
            StillRuns: there are processes, after all.
            OSError: something cannot be removed.
        """
        until = time.monotonic() + _PATIENCE
        while (lock := try_lock(os.fspath(self.lock))) is None:
            if time.monotonic() > until:
                raise StillRuns
            time.sleep(_PAUSE)
        try:
            wipe(self.work)
            wipe(self.door)
        finally:
            unlock(os.fspath(self.lock), lock)


class Folders:
    """The folders of all sessions of a host, below its own. Their names are digests: an id is nobody's path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / "sessions"
        self._locks = folder / "locks"
        self._doors = socket_root(folder) / "doors"

    def of(self, key: SessionKey) -> SessionFolders:
        """Return where a session has its files."""
        digest = hashlib.sha256(f"{key.agent}\0{key.session_id}".encode()).digest()
        return self._named(base64.b32encode(digest[:15]).decode("ascii").lower())

    def behind(self, lock: Path) -> SessionFolders:
        """Return where the session with this lock has its files."""
        return self._named(lock.stem)

    def open(self) -> list[str]:
        """Make what is missing, and remove what sessions of an earlier host have left, once their processes have ended.

        Blocks, for as long as that takes. Returns the names of what could not be removed.

        Raises:
            StartRefused: the folders cannot be had.
        """
        try:
            make_socket_root(self._folder)
            for folder, mode in ((self._work, PASS_THROUGH), (self._doors, PASS_THROUGH), (self._locks, 0o700)):
                folder.mkdir(mode=mode, exist_ok=True)
                check_own(folder)
                folder.chmod(mode)
            names = {path.name.partition(".")[0] for path in (*self._work.iterdir(), *self._doors.iterdir())}
            names |= {path.name.partition(".")[0] for path in self._locks.iterdir()}
        except OSError as error:
            raise StartRefused(
                f"the folder {error.filename} cannot be used ({error.strerror}); name another with `folder`"
            ) from None
        left = []
        for name in sorted(names):
            try:
                self._named(name).wipe()
            except (StillRuns, OSError):
                left.append(name)
        return left

    def close(self) -> None:
        """Remove the temporary folder, if there is one and it is empty."""
        if self._doors.parent != self._folder:
            with suppress(OSError):
                self._doors.rmdir()
                self._doors.parent.rmdir()

    def _named(self, name: str) -> SessionFolders:
        return SessionFolders(self._work / name, self._doors / name, self._locks / f"{name}.lock")
