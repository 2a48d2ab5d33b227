"""A session as people see it: what is recorded of it, and what only its host knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from outlast.core.session import Session, SessionState


class ViewState(StrEnum):
    """What a session does (contract section 3)."""

    STARTING = "STARTING"
    #: A use is in flight, or the agent says HealthyBusy.
    ACTIVE = "ACTIVE"
    IDLE = "IDLE"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class Vitals:
    """What only the host of a live session knows."""

    state: ViewState
    #: Whether the agent says HealthyBusy.
    busy: bool = False
    #: Uses that have not ended.
    in_flight: int = 0
    #: Seconds that this run has lived, and has been idle for; None where it is not ready, or is not idle.
    age: float = 0.0
    idle: float | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class SessionView:
    """One session. ``vitals`` is None for one that no process of this host works for."""

    session: Session
    vitals: Vitals | None = None
    #: Its tasks that have not ended.
    active_tasks: int = 0
    #: Whether who looks is an operator.
    operator: bool = False

    @property
    def state(self) -> ViewState:
        """What it does."""
        return recorded_state(self.session.state) if self.vitals is None else self.vitals.state

    def as_json(self) -> dict[str, Any]:
        """Return the object that callers get; what is not known is left out."""
        session, vitals = self.session, self.vitals
        known: dict[str, Any] = {
            "name": str(session.key),
            "agent": session.key.agent,
            "sessionId": session.key.session_id,
            "state": self.state,
            "busy": vitals is not None and vitals.busy,
            "inFlight": 0 if vitals is None else vitals.in_flight,
            "activeTasks": self.active_tasks,
            "run": session.run,
            "ageSeconds": self._age(),
            "idleSeconds": None if vitals is None or vitals.idle is None else round(vitals.idle, 3),
            "createTime": _rfc3339(session.created_at),
            "startTime": _rfc3339(session.started_at),
            "readyTime": _rfc3339(session.ready_at),
            "endTime": _rfc3339(session.ended_at),
            "endReason": session.end_reason,
            "endMessage": session.end_message or None,
            "user": session.user or None,
            "principal": session.principal or None,
            "host": session.host,
            "pid": vitals.pid if vitals is not None and self.operator else None,
        }
        return {name: value for name, value in known.items() if value is not None}

    def _age(self) -> float | None:
        if self.vitals is not None:
            return round(self.vitals.age, 3)
        started, ended = self.session.started_at, self.session.ended_at
        return None if started is None or ended is None else round((ended - started).total_seconds(), 3)


def recorded_state(state: SessionState) -> ViewState:
    """Return what a state in the record looks like where nothing else is known."""
    return _RECORDED[state]


_RECORDED = {
    SessionState.STARTING: ViewState.STARTING,
    SessionState.RUNNING: ViewState.ACTIVE,  # on another host: whether it is idle is known only there
    SessionState.STOPPING: ViewState.STOPPING,
    SessionState.STOPPED: ViewState.STOPPED,
}


def _rfc3339(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
