"""The worker's signs of life on one stream after another, and what follows when they are not answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from outlast.tasks.lease import WorkerLease


class Silence(Exception):
    """The task manager has not answered a sign of life for too long."""


class Pulse:
    """Keeps the time of a lease on the services' loop, and says what is to be done."""

    def __init__(self, lease: WorkerLease, send: Callable[[], None], cut_off: Callable[[float], None]) -> None:
        """``send`` has the sender ask ``due``; ``cut_off`` is told when the lease runs out, and how long it held."""
        self.lease = lease
        self._send = send
        self._cut_off = cut_off
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        #: Done, with Silence, when the open stream should be given up.
        self.given_up: asyncio.Future[None] = self._loop.create_future()
        #: Set once the task manager has on disk that the worker takes no new work.
        self.draining_known = asyncio.Event()
        self._asked = False
        self._first_draining: int | None = None

    def ask(self) -> None:
        """Have a sign of life given now."""
        self._asked = True
        self._send()

    @property
    def due(self) -> bool:
        """Whether a sign of life is to be given now."""
        return self._asked or self.lease.beat_due

    def beat(self, *, draining: bool) -> int:
        """Return the number of the sign of life that is given now."""
        self._asked = False
        number = self.lease.beat()
        if draining and self._first_draining is None:
            self._first_draining = number
        return number

    def welcomed(self, ttl: float | None, *, said_at: float, draining: bool) -> None:
        """Note the answer to a hello that was said at ``said_at``, perhaps that of a worker that drains."""
        self.given_up = self._loop.create_future()
        self.lease.connected(ttl, said_at)
        if draining:
            self.draining_known.set()
        self._watch()

    def renewed(self, number: int, ttl: float | None) -> None:
        """Note the answer to a sign of life."""
        self.lease.renewed(number, ttl)
        if self._first_draining is not None and number >= self._first_draining:
            self.draining_known.set()
        self._watch()

    def broken(self) -> None:
        """Note that the stream is broken; the lease goes on for as long as it holds."""
        if not self.given_up.cancel() and not self.given_up.cancelled():
            self.given_up.exception()  # asked for, so that asyncio does not say that nobody has
        self.lease.disconnected()

    def close(self) -> None:
        """Keep the time no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """Do what the lease asks for now, and look again when it may ask for more."""
        self.close()
        seconds = self.lease.look()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self._watch)
        if self.lease.lost() and self.lease.ttl is not None:
            self._cut_off(self.lease.ttl)
        if self.lease.silent and not self.given_up.done():
            self.given_up.set_exception(Silence("it does not answer the worker's signs of life"))
        if self.lease.beat_due:
            self._send()
