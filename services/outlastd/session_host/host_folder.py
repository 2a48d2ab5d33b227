"""What a session host keeps on this machine: its lock, its operator's token, its store, its sockets."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from outlast.core.errors import StartRefused
from outlastd.session_host.socket_root import PASS_THROUGH, make_socket_root


@dataclass(frozen=True)
class HostFolder:
    """A folder that one host at a time has for itself. Its methods block."""

    path: Path
    #: The Unix socket at which guests find the task manager.
    tasks_socket: Path
    _lock: int

    @classmethod
    def open(cls, path: Path) -> HostFolder:
        """Make the folder, and lock it.

        Raises:
            StartRefused: it cannot be made or written, or another host has it.
        """
        try:
            path.mkdir(mode=PASS_THROUGH, parents=True, exist_ok=True)
            if path.stat().st_uid == os.geteuid():  # a volume is often root's, and this user's by its group
                path.chmod(PASS_THROUGH)
            sockets = make_socket_root(path)
            (path / "store").mkdir(mode=0o700, exist_ok=True)
            lock = os.open(path / "host.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartRefused(
                f"the folder {path} cannot be used: {error.strerror} ({error.filename}); name another with `folder`"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.read(lock, 20).decode("ascii", "replace")
            os.close(lock)
            raise StartRefused(
                f"another session host (process {other}) uses {path}: stop it, or name another folder with `folder`"
            ) from None
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return cls(path, sockets / "tasks.sock", lock)

    @property
    def default_store(self) -> str:
        """The URL of the store where the configuration names none."""
        return f"sqlite:///{self.path / 'store' / 'host.db'}"

    @property
    def token_file(self) -> Path:
        """Where the operator's token is kept when the host has made it up itself."""
        return self.path / "token"

    def operator_token(self) -> str:
        """Return the token in the folder; the first time, make one."""
        try:
            if token := self.token_file.read_text("ascii").strip():
                return token
        except FileNotFoundError:
            pass
        token = secrets.token_urlsafe(32)
        descriptor = os.open(self.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        return token

    def owner(self) -> str:
        """Return the name in the folder; the first time, the machine's.

        A container made anew has another name each time, and what its folder's earlier host has left is its to settle.
        """
        file = self.path / "name"
        with suppress(FileNotFoundError):
            if name := file.read_text("utf-8").strip():
                return name
        name = socket.gethostname()
        file.write_text(f"{name}\n", "utf-8")
        return name

    def close(self) -> None:
        """Let another host have the folder."""
        self.tasks_socket.unlink(missing_ok=True)
        if self.tasks_socket.parent != self.path:
            with suppress(OSError):
                self.tasks_socket.parent.rmdir()
        os.close(self._lock)


def keep_private(store: Path) -> None:
    """See to it that nobody but this user reads a store's file; it is made where it is not there yet. Blocks.

    Raises:
        StartRefused: it cannot be made or written.
    """
    try:
        store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(store, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise StartRefused(
            f"the store {store} is not writable: {error.strerror} ({error.filename or store}); "
            "name another with `store`, --store sqlite:///PATH or OUTLAST_STORE"
        ) from None
