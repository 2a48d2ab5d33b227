"""What the parts of the session host ask of each other. Everything lives on the services' loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from outlast.core.session import SessionKey
from outlastd.front_door.request import Request
from outlastd.session_host.principal import Principal

# -- processes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What the operating system allows a process; None for what it allows anyway."""

    #: Bytes of memory of one process (RLIMIT_DATA).
    memory: int | None = None
    #: Files that one process may have open (RLIMIT_NOFILE).
    open_files: int | None = None
    #: Processes and threads (RLIMIT_NPROC); only where the session has a user of its own.
    processes: int | None = None


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """A process to start."""

    #: For log lines.
    name: str
    argv: Sequence[str]
    #: The whole environment; nothing is inherited.
    environment: Mapping[str, str]
    #: The folder that it starts in.
    directory: Path
    #: A file that is locked for as long as any process of the session may be left: no two runs ever overlap.
    lock: Path
    #: The user and group to run as; None for the host's own.
    uid: int | None = None
    gid: int | None = None
    limits: ProcessLimits = ProcessLimits()


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: an exit code, or the number of a signal."""

    code: int | None = None
    signal: int | None = None

    def __str__(self) -> str:
        return f"exit code {self.code}" if self.signal is None else f"signal {self.signal}"


Output = tuple[Literal["stdout", "stderr"], bytes]


class Execution(Protocol):
    """A command that runs beside the agent, in its environment and folder, as its user."""

    def output(self) -> AsyncIterator[Output]:
        """Give what the command writes, until it and all that it started have closed their outputs, or it is over."""
        ...

    async def wait(self) -> Exit | None:
        """Return how it ended; None when it was killed because its time was up."""
        ...

    async def kill(self) -> None:
        """End it and all that it started."""
        ...


class GuestProcess(Protocol):
    """A process of a session, with all that it started."""

    @property
    def pid(self) -> int:
        """The process itself."""
        ...

    async def wait(self) -> Exit:
        """Return how the process ended, once nothing that it started is left either. Any number may wait."""
        ...

    async def stop(self, grace: float) -> Exit:
        """Send SIGTERM to its group, SIGKILL to all that is left after ``grace`` seconds; return as ``wait`` does."""
        ...

    async def execute(self, argv: Sequence[str], timeout: float) -> Execution:
        """Start a command, which is killed after ``timeout`` seconds. Raises LaunchFailed."""
        ...


class LaunchFailed(Exception):
    """A process could not be started; the message says why, for people."""


class Launcher(Protocol):
    """Starts processes that end with the host, whatever ends it."""

    async def launch(self, order: LaunchOrder) -> GuestProcess:
        """Start a process, once no process of an earlier run is left. Raises LaunchFailed."""
        ...

    async def close(self) -> None:
        """Let go; processes that were not stopped are killed."""
        ...


# -- who may call ------------------------------------------------------------------------------------------


class Claim(Protocol):
    """What a request's headers say of who sent it, believed once its body has been seen."""

    def prove(self, body_sha256: str) -> Principal:
        """Return who sent the request, given the hexadecimal SHA-256 of its body. Raises ApiError 401 or 403."""
        ...


class Authenticator(Protocol):
    """Knows who may call."""

    async def read(self, request: Request) -> Claim:
        """Look at a request before its body is read. Raises ApiError 401 or 403 for what can never be believed."""
        ...


# -- tasks -------------------------------------------------------------------------------------------------


class SessionTasks(Protocol):
    """What the session host asks of the task manager beside it."""

    async def lose(self, key: SessionKey, message: str) -> int:
        """Record that the processes of a session are gone: end or give back what they held; return how many tasks.

        Raises:
            OutlastError: the store cannot take it now.
        """
        ...

    def worker_token(self, key: SessionKey) -> str:
        """Return what a process of the session shows as a worker, and as a caller of TaskService: it opens no other."""
        ...
