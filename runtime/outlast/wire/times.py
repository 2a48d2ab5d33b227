"""Times and durations, exact to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from outlast.core.errors import InvalidField

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_to_proto(time: datetime | None) -> Timestamp | None:
    """Return an aware time as a Timestamp; None as None, which leaves a message's field unset."""
    if time is None:
        return None
    proto = Timestamp()
    fill_time(proto, time)
    return proto


def fill_time(proto: Timestamp, time: datetime) -> None:
    """Have a Timestamp say an aware time."""
    since = time - _EPOCH
    proto.seconds = since.days * 86_400 + since.seconds
    proto.nanos = since.microseconds * 1_000


def time_from_proto(time: Timestamp, field: str) -> datetime:
    """Return a Timestamp in UTC, cut to the microsecond; raise InvalidField when it is no time of this calendar."""
    nanos = time.nanos
    try:
        return _EPOCH + timedelta(0, time.seconds, nanos // 1_000 if nanos >= 0 else -(-nanos // 1_000))
    except OverflowError:
        raise InvalidField(field, "is out of range") from None


def duration_to_proto(duration: timedelta | None) -> Duration | None:
    """Return a Duration; None as None, which leaves a message's field unset."""
    if duration is None:
        return None
    seconds, rest = divmod(abs(duration), timedelta(seconds=1))
    sign = -1 if duration < timedelta() else 1
    return Duration(seconds=sign * seconds, nanos=sign * rest.microseconds * 1_000)


def seconds_to_proto(seconds: float | None) -> Duration | None:
    """Return a Duration of so many seconds, None as None; raise ValueError when it is too long to hold."""
    if seconds is None:
        return None
    duration = Duration()
    duration.FromNanoseconds(int(seconds * 1e9))
    return duration


def duration_from_proto(duration: Duration, field: str) -> timedelta:
    """Return a Duration, cut to the microsecond; raise InvalidField when it is too long to hold."""
    try:
        return timedelta(seconds=duration.seconds, microseconds=int(duration.nanos / 1_000))
    except OverflowError:
        raise InvalidField(field, "is out of range") from None
