"""Tells whether a connection from this machine was made by a guest: the process of a session, or one that it started.

A guest stands on loopback too, and must not pass for its owner there: it may not list, stop or read other sessions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection
from enum import Enum, auto

from outlast.telemetry.log import get_logger, summary_of
from outlastd.front_door.request import Request
from outlastd.session_host.auth.proc import Proc, Socket
from outlastd.session_host.clock import Clock, SystemClock

#: Seconds that the answer for a connection holds, and connections whose answers are kept.
KEEP = 5.0
MAX_KEPT = 4096
#: Looks at a time: each goes through all processes of the machine.
MAX_LOOKS = 2
#: Looks in all before a connection is taken for a guest's.
LOOKS = 3

#: The pid and the uid of each live session's process.
Guests = Collection[tuple[int, int]]


class Origin(Enum):
    """Whose connection it is."""

    GUEST = auto()
    NEIGHBOUR = auto()
    #: This machine does not tell.
    UNKNOWN = auto()


class Neighbours:
    """Knows the guests, and looks up who holds the other end of a connection. Lives on the services' loop."""

    def __init__(
        self,
        processes: Callable[[], Guests],
        *,
        proc: Proc | None = None,
        clock: Clock | None = None,
        host: int | None = None,
    ) -> None:
        """``host`` is the process that starts the guests, this one by default: what descends from it is a guest."""
        self._processes = processes
        self._proc = proc or Proc()
        self._clock = clock or SystemClock()
        self._host = os.getpid() if host is None else host
        self._looks = asyncio.Semaphore(MAX_LOOKS)
        #: Until when a connection counts as a neighbour's.
        self._kept: dict[int, float] = {}

    async def origin(self, request: Request) -> Origin:
        """Tell whose connection a request of this machine came on. In doubt it is a guest's."""
        if self._kept.get(request.connection, 0.0) > self._clock.monotonic():
            return Origin.NEIGHBOUR
        async with self._looks:
            try:
                # A table that changes while it is read may leave a row out, and a list of processes one of them.
                for _ in range(LOOKS - 1):
                    if (origin := await self._look(request)) is not Origin.GUEST:
                        return origin
                return await self._look(request)
            except FileNotFoundError:
                return Origin.UNKNOWN
            except OSError as error:  # no file descriptor is left, say: guests may have seen to that
                get_logger().warning("whose a connection is could not be looked up", reason=summary_of(error))
                return Origin.GUEST

    async def _look(self, request: Request) -> Origin:
        sockets = await asyncio.to_thread(self._proc.sockets, request.peer, request.peer_port, request.own_port)
        # More than one where the same port leads to our port at another address too, which may be somebody else's.
        for socket in sockets:
            if await asyncio.to_thread(self._is_guests, socket, list(self._processes())):
                return Origin.GUEST
        if not sockets:
            return Origin.GUEST
        self._keep(request.connection)
        return Origin.NEIGHBOUR

    def _keep(self, connection: int) -> None:
        if connection:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[connection] = self._clock.monotonic() + KEEP

    def _is_guests(self, socket: Socket, guests: Guests) -> bool:
        own = os.geteuid()
        if not socket.inode:  # whoever made it has let go of it
            return True
        if socket.uid != own and any(uid == socket.uid for _, uid in guests):
            return True
        roots = self._roots(guests)
        found = False
        for holder in self._proc.holders(socket.inode):
            if self._descends(holder, roots):
                return True
            found = True
        # Of others' processes only root sees what they hold; no guest is another's unless root made it so.
        return not found and own in (0, socket.uid)

    def _roots(self, guests: Guests) -> set[int]:
        """Return the processes that all guests descend from: the wardens, which take in what guests leave behind."""
        roots = {pid for pid, _ in guests}
        for pid, _ in guests:
            try:
                warden = self._proc.parent(pid)
            except OSError:
                continue
            if warden not in (0, 1, self._host):
                roots.add(warden)
        return roots

    def _descends(self, pid: int, roots: set[int]) -> bool:
        """Tell whether a process is one of the guests', or below the host: a guest that is just being started."""
        try:
            while pid > 1:
                if pid in roots:
                    return True
                pid = self._proc.parent(pid)
                if pid == self._host:
                    return True
        except OSError:  # somebody of its line has ended meanwhile
            return True
        return False
