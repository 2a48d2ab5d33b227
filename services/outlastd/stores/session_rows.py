"""Sessions as rows of a database, and back. The only place that knows the order of their columns."""

from __future__ import annotations

from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlastd.stores.rows import Row, optional_microseconds, optional_time

#: What never changes once a session is known.
SESSION_FIXED = ("agent", "session_id", "principal", "user_id", "created_at")
#: What a change may write.
SESSION_CHANGING = (
    *("state", "host", "epoch", "run", "started_at", "ready_at", "ended_at", "lease_until"),
    *("end_reason", "end_message"),
)
#: A whole session: what ``session_from_row`` reads.
SESSION_COLUMNS = (*SESSION_FIXED, *SESSION_CHANGING)


def session_fixed_values(session: Session) -> Row:
    """Return the values of SESSION_FIXED."""
    return (
        session.key.agent,
        session.key.session_id,
        session.principal,
        session.user,
        optional_microseconds(session.created_at),
    )


def session_changing_values(session: Session) -> Row:
    """Return the values of SESSION_CHANGING."""
    return (
        int(session.state),
        session.host,
        session.epoch,
        session.run,
        optional_microseconds(session.started_at),
        optional_microseconds(session.ready_at),
        optional_microseconds(session.ended_at),
        optional_microseconds(session.lease_until),
        None if session.end_reason is None else session.end_reason.value,
        session.end_message,
    )


def session_from_row(row: Row) -> Session:
    """Return the session in a row of SESSION_COLUMNS."""
    agent, session_id, principal, user_id, created_at, state, host, epoch, run, *rest = row
    started_at, ready_at, ended_at, lease_until, end_reason, end_message = rest
    return Session(
        SessionKey(agent, session_id),
        SessionState(state),
        host,
        epoch,
        run,
        principal,
        user_id,
        optional_time(created_at),
        optional_time(started_at),
        optional_time(ready_at),
        optional_time(ended_at),
        optional_time(lease_until),
        None if end_reason is None else EndReason(end_reason),
        end_message,
    )
