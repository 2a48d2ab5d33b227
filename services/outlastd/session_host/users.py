"""The users that sessions run as, where the host runs as root: a number each, without a name."""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import suppress
from pathlib import Path

#: A byte of this file is locked for each user that some host of this machine gives to a session.
_MACHINE_WIDE = Path("/run/outlast-users.lock")


class Users:
    """Gives each user to one session at a time, on the whole machine. For use from any thread.

    A process has one of these at most: its locks are let go when any descriptor of the file is closed.
    """

    def __init__(self, users: range, folder: Path) -> None:
        """``folder`` holds the locks where /run cannot: then the hosts of a machine do not know of each other."""
        self._users = users
        self._next = 0
        self._used: set[int] = set()
        self._lock = threading.Lock()
        try:
            self._file = _open(_MACHINE_WIDE)
        except OSError:
            self._file = _open(folder / _MACHINE_WIDE.name)

    def take(self) -> int:
        """Return a user that no session has and no process runs as. Raises LookupError when there is none."""
        with self._lock:
            busy = self._used | _at_work()
            for _ in self._users:
                # The one that was given back longest ago: what it may have left somewhere is nobody's for long.
                user = self._users[self._next]
                self._next = (self._next + 1) % len(self._users)
                if user not in busy and self._lock_byte(user):
                    self._used.add(user)
                    return user
        raise LookupError(f"all users from {self._users[0]} to {self._users[-1]} have sessions: name more with `users`")

    def give_back(self, user: int) -> None:
        """Let another session have a user, of whom nothing is left."""
        with self._lock:
            self._used.discard(user)
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, user)

    def close(self) -> None:
        """Let all users go."""
        os.close(self._file)

    def _lock_byte(self, user: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, user)
        except OSError:
            return False
        return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _at_work() -> set[int]:
    """Return the users that processes run as; none where the system does not say."""
    found = set()
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile
                    found.add(entry.stat().st_uid)
    return found
