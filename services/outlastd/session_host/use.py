"""One use of a session: an invocation, a command, a WebSocket."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from outlast.core.session import Session
from outlastd.session_host.guest_client import GuestClient
from outlastd.session_host.ports import GuestProcess


class Used(Protocol):
    """What a use asks of its session."""

    @property
    def record(self) -> Session:
        """The session as it is recorded."""
        ...

    def use_began(self) -> None:
        """Count one more use in flight."""
        ...

    def use_ended(self) -> None:
        """Count one less."""
        ...

    def touched(self) -> None:
        """Note that somebody does something with the session."""
        ...

    async def until_told(self) -> str:
        """Wait until those who use the session have to know that it ends; return why, for people."""
        ...


class Use:
    """Keeps a session from idling, from the moment it is made until it is left."""

    def __init__(self, used: Used, guest: GuestClient, process: GuestProcess) -> None:
        self._used = used
        #: The process of the session: over HTTP, and as a process.
        self.guest = guest
        self.process = process
        self._over = False
        used.use_began()

    @property
    def session(self) -> Session:
        """The session as it is recorded."""
        return self._used.record

    def touch(self) -> None:
        """Note a sign of life, such as a frame: the idle clock begins anew there."""
        self._used.touched()

    async def until_ended(self) -> str:
        """Wait until the session ends while the use lasts; return why, for people.

        That is when its process has gone, or is told to go without regard to what it does; a host that stops lets the
        process answer in its grace. What is open to a process that dies breaks a moment before: wait a little here to
        hear why. Any number may wait; a cancel is safe.
        """
        return await self._used.until_told()

    def end(self) -> None:
        """End the use; leaving its block does it."""
        if not self._over:
            self._over = True
            self._used.use_ended()

    async def __aenter__(self) -> Self:
        """Return itself: it has begun already."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the use."""
        self.end()
