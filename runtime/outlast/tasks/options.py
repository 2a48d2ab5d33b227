"""What an agent's author says of a task type: how often, how long and how soon again it may be tried."""

from __future__ import annotations

from datetime import timedelta

from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_FIRST_BACKOFF, MAX_WAIT, check_attempts, check_duration
from outlast.core.value import value


@value(frozen=True, slots=True)
class TaskOptions:
    """What holds for every task that ``.start()`` makes of one function."""

    max_attempts: int = 1
    #: How long one attempt may take; None for ever.
    timeout: timedelta | None = None
    #: The wait before the second attempt; it doubles with each further one. None for the task manager's.
    backoff: timedelta | None = None

    @classmethod
    def checked(cls, max_attempts: object, timeout: object, backoff: object) -> TaskOptions:
        """Return the options of a decorator; durations are seconds or timedeltas.

        Raises:
            InvalidField: one of them cannot be kept.
        """
        return cls(
            check_attempts("max_attempts", max_attempts),
            timeout=duration("timeout", timeout),
            backoff=duration("backoff", backoff, MAX_FIRST_BACKOFF, zero=True),
        )


NO_OPTIONS = TaskOptions()


def duration(field: str, value: object, limit: timedelta = MAX_WAIT, *, zero: bool = False) -> timedelta | None:
    """Return a number of seconds, or a timedelta, as a timedelta; None as None.

    Raises:
        InvalidField: it is neither, or none that a task may ask for.
    """
    if value is None or isinstance(value, timedelta):
        return None if value is None else check_duration(field, value, limit, zero=zero)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidField(field, f"{value!r} is no number of seconds and no timedelta")
    try:
        seconds = timedelta(seconds=value)
    except (OverflowError, ValueError):  # inf and nan among them
        raise InvalidField(field, f"{value!r} is no number of seconds that a clock could count") from None
    return check_duration(field, seconds, limit, zero=zero)
