"""A session as it is recorded, and the rules by which its record changes.

A session is reachable again by its id for as long as it is known: each process that works for it is a **run**, counted
from 1. The rules when a run has to end are in session_rules.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum

from outlast.core.errors import SessionHeld
from outlast.core.value import value


class SessionState(IntEnum):
    """What there is of a session's process. The numbers are stored."""

    STARTING = 1
    RUNNING = 2
    STOPPING = 3
    STOPPED = 4


class EndReason(StrEnum):
    """Why a run has ended."""

    #: Nothing was done for as long as the agent allows.
    IDLE_TIMEOUT = "IDLE_TIMEOUT"
    #: It lived for as long as the agent allows, whatever it did.
    MAX_LIFETIME = "MAX_LIFETIME"
    #: Somebody asked for it.
    STOP_REQUESTED = "STOP_REQUESTED"
    #: Its pings failed for too long.
    UNHEALTHY = "UNHEALTHY"
    #: The process ended by itself, or something killed it.
    PROCESS_ENDED = "PROCESS_ENDED"
    #: It was never ready.
    START_FAILED = "START_FAILED"
    #: The host was told to stop.
    HOST_STOPPED = "HOST_STOPPED"
    #: The host itself was killed, and found the session when it started again.
    HOST_LOST = "HOST_LOST"


@dataclass(frozen=True, slots=True, order=True)
class SessionKey:
    """What names a session: its id is the caller's, and unique for one agent only."""

    agent: str
    session_id: str

    def __str__(self) -> str:
        return f"sessions/{self.agent}/{self.session_id}"


@value(frozen=True, slots=True)
class Session:
    """A session, as the store keeps it."""

    key: SessionKey
    state: SessionState
    #: The host that owns it: while it is not STOPPED, no other may run it.
    host: str
    #: From the store's one counter of epochs, new with each run: what a run writes is refused once another has begun.
    epoch: int
    #: Which run of the session it is, from 1.
    run: int = 1
    #: Who began it, and the user that it is bound to; empty for nobody in particular.
    principal: str = ""
    user: str = ""
    #: When its id was used first.
    created_at: datetime | None = None
    #: When the run began, was ready, and ended.
    started_at: datetime | None = None
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    #: Until when the owner's right holds. None: a host owns what it has begun until it ends it (one host a store).
    lease_until: datetime | None = None
    #: None while the run has not ended.
    end_reason: EndReason | None = None
    end_message: str = ""


def begin(
    known: Session | None, key: SessionKey, host: str, epoch: int, now: datetime, *, principal: str = "", user: str = ""
) -> Session:
    """Return a session whose next run begins; ``known`` is what is recorded of it, None for a new id.

    ``principal`` and ``user`` bind a new id, and leave a known one bound as it is.

    Raises:
        SessionHeld: a run of it has not ended.
    """
    if known is None:
        return Session(key, SessionState.STARTING, host, epoch, 1, principal, user, created_at=now, started_at=now)
    if known.state is not SessionState.STOPPED:
        raise SessionHeld(str(key), known.host)
    return replace(
        known,
        state=SessionState.STARTING,
        host=host,
        epoch=epoch,
        run=known.run + 1,
        started_at=now,
        ready_at=None,
        ended_at=None,
        end_reason=None,
        end_message="",
    )


def ready(session: Session, now: datetime) -> Session:
    """Return a session whose process has answered its first ping; one that was told to end meanwhile stays as it is."""
    if session.state is not SessionState.STARTING:
        return session
    return replace(session, state=SessionState.RUNNING, ready_at=now)


def stopping(session: Session) -> Session:
    """Return a session whose process is told to end; one that has ended stays as it is."""
    return session if session.state is SessionState.STOPPED else replace(session, state=SessionState.STOPPING)


def end(session: Session, reason: EndReason, message: str, now: datetime) -> Session:
    """Return a session of which no process is left; one that has ended stays as it is."""
    if session.state is SessionState.STOPPED:
        return session
    return replace(session, state=SessionState.STOPPED, ended_at=now, end_reason=reason, end_message=message)


def owned(session: Session, epoch: int) -> Session:
    """Return a session whose newest run has an epoch.

    Raises:
        SessionHeld: another run has begun.
    """
    if session.epoch != epoch:
        raise SessionHeld(str(session.key), session.host)
    return session
