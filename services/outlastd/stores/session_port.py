"""The port for sessions, which every store fulfils beside that for tasks: on the same database.

The docstrings are the contract; tests/contract holds every adapter to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlast.core.value import value


@value(frozen=True, slots=True)
class SessionPosition:
    """Where a page of a list ends: the list goes on with sessions that are strictly older."""

    created_at: datetime
    key: SessionKey


@value(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; an empty field lets all through."""

    states: frozenset[SessionState] = frozenset()
    agent: str = ""
    #: Only sessions that are bound to this user.
    user: str = ""
    #: Only sessions whose id begins so.
    prefix: str = ""


class SessionStore(Protocol):
    """Durable sessions.

    Every method is called on the services' loop and does not block it. Every mutation is one transaction, durable when
    the method returns; the rules are ``outlast.core.session``. Times are the database's clock's. Every method raises
    StoreUnavailable and StoreRefused as a TaskStore does (port.py).
    """

    async def hold(self, host: str) -> None:
        """Have a host's name on this database for this store alone, until it is closed.

        Raises:
            StartRefused: another store has it, in whatever process.
        """
        ...

    async def begin(self, key: SessionKey, host: str, *, principal: str = "", user: str = "") -> Session:
        """Record that the next run of a session begins, with the next epoch (session.begin). Raises SessionHeld."""
        ...

    async def ready(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run answers (session.ready). Raises SessionHeld when the epoch is not the newest run's."""
        ...

    async def stopping(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run is told to end (session.stopping). Raises SessionHeld as ``ready`` does."""
        ...

    async def end(self, key: SessionKey, epoch: int, reason: EndReason, message: str) -> Session:
        """Record that the run has ended (session.end); an ended one stays as it is. Raises SessionHeld likewise."""
        ...

    async def end_all(self, host: str, reason: EndReason, message: str) -> Sequence[Session]:
        """End every run of a host that has not ended; return them."""
        ...

    async def get(self, key: SessionKey) -> Session:
        """Return a session. Raises SessionNotFound."""
        ...

    async def list(self, which: SessionFilter, limit: int, after: SessionPosition | None = None) -> Sequence[Session]:
        """Return up to ``limit`` sessions, newest first by (created_at, agent, session_id), after ``after``."""
        ...

    async def active_tasks(self, keys: Sequence[SessionKey]) -> Mapping[SessionKey, int]:
        """Return how many tasks of each session have not ended; sessions without any are left out."""
        ...

    async def delete_ended(self, older_than: timedelta, limit: int) -> int:
        """Delete up to ``limit`` sessions that ended longer ago and of which no task is kept; return how many."""
        ...
