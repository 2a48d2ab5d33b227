"""What is counted of sessions while metrics are on. Requests to a host are counted as an agent's are (measured.py)."""

from __future__ import annotations

from outlast.core.session import EndReason, Session, SessionKey
from outlast.telemetry.metrics import cardinality, metering
from outlast.telemetry.metrics.buckets import CALL_SECONDS
from outlast.telemetry.metrics.cardinality import AGENT, REASON


class SessionMetrics:
    """Counts the runs of one host's sessions, by agent."""

    def __init__(self, active: metering.Metering) -> None:
        meter = active.meter
        self._active = meter.create_up_down_counter(
            "outlast.session.active", unit="{session}", description="Sessions that start, run or stop on this host"
        )
        self._started = meter.create_counter(
            "outlast.session.started", unit="{session}", description="Runs of sessions that have begun"
        )
        self._ended = meter.create_counter(
            "outlast.session.ended", unit="{session}", description="Runs of sessions that have ended"
        )
        self._starts = meter.create_histogram(
            "outlast.session.start.duration",
            unit="s",
            description="From the beginning of a run to its first answer, with the wait for others that start",
            explicit_bucket_boundaries_advisory=CALL_SECONDS,
        )

    def came(self, key: SessionKey) -> None:
        """Count a session that this host has now."""
        self._active.add(1, _of(key))

    def went(self, key: SessionKey) -> None:
        """Count it no more."""
        self._active.add(-1, _of(key))

    def began(self, key: SessionKey) -> None:
        """Count a run that is recorded."""
        self._started.add(1, _of(key))

    def ready(self, session: Session) -> None:
        """Count a run that answers, unless it was told to end meanwhile."""
        if session.ready_at is not None and session.started_at is not None:
            self._starts.record((session.ready_at - session.started_at).total_seconds(), _of(session.key))

    def ended(self, key: SessionKey, reason: EndReason) -> None:
        """Count a run whose end is recorded."""
        self._ended.add(1, {**_of(key), REASON: reason.value.lower()})


def session_metrics() -> SessionMetrics | None:
    """Return what counts the sessions of a host that is made now; None while metrics are off."""
    active = metering.active()
    return None if active is None else SessionMetrics(active)


def _of(key: SessionKey) -> dict[str, str]:
    return {AGENT: cardinality.agent(key.agent)}
