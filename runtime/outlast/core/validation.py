"""Limits on what enters the system. Every operation and request is checked here before it enters a batch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from outlast.core.errors import InvalidField

#: Characters at the most: a task type, a session id or a request id, a label's key and value.
MAX_NAME = 256
MAX_ID = 1024
MAX_LABELS = 64
MAX_LABEL_VALUE = 1024
#: Bytes at the most of what a program says of a task when it starts it.
MAX_METADATA = 1024 * 1024
#: Bytes at the most of a task's recorded arguments.
MAX_INPUT = 1024 * 1024
#: Attempts at the most that a task may have.
MAX_ATTEMPTS = 1_000
#: How long an attempt, a wait for a worker or a grace may be set to take: a date that far away can still be written.
MAX_WAIT = timedelta(days=3_650)
#: How long the wait before a second attempt may be set to: it doubles with each further one.
MAX_FIRST_BACKOFF = timedelta(days=30)


def check_text(field: str, value: object, limit: int, *, required: bool = False) -> str:
    """Return ``value`` when every store and wire can hold it as text.

    Raises:
        InvalidField: it is no string, is empty but required, is too long, or holds control characters or lone
            surrogates.
    """
    if not isinstance(value, str):
        raise InvalidField(field, f"is {type(value).__name__}, not a string")
    if required and not value:
        raise InvalidField(field, "is empty")
    if len(value) > limit:
        raise InvalidField(field, f"has {len(value):,} characters, over the limit of {limit:,}")
    if value.isprintable():
        return value  # nearly every text, at a glance; of the others some are fine too
    for character in value:
        if character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff":
            raise InvalidField(field, f"holds U+{ord(character):04X}, which is no printable text")
    return value


def check_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return ``labels`` when there are few and each is short text; raise InvalidField otherwise."""
    if len(labels) > MAX_LABELS:
        raise InvalidField("labels", f"has {len(labels)} entries, over the limit of {MAX_LABELS}")
    for key, value in labels.items():
        check_text("labels", key, MAX_NAME, required=True)
        check_text(f"labels[{key}]", value, MAX_LABEL_VALUE)
    return labels


def check_attempts(field: str, value: object) -> int:
    """Return ``value`` when a task may have that many attempts; raise InvalidField otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidField(field, f"is {type(value).__name__}, not a whole number")
    if not 1 <= value <= MAX_ATTEMPTS:
        raise InvalidField(field, f"{value} is not between 1 and {MAX_ATTEMPTS:,}")
    return value


def check_duration(field: str, value: timedelta, limit: timedelta = MAX_WAIT, *, zero: bool = False) -> timedelta:
    """Return ``value`` when it is positive, or zero where that is allowed, and within the limit; raise InvalidField."""
    if value < timedelta() or (not zero and not value):
        raise InvalidField(field, f"{value.total_seconds():g} s is not {'zero or ' if zero else ''}above zero")
    if value > limit:
        raise InvalidField(field, f"{value} is over the limit of {limit.days:,} days")
    return value


def clean_text(value: str, limit: int) -> str:
    """Return ``value`` as text that every store can hold: for messages of exceptions, which nobody can refuse."""
    if value.isprintable() and len(value) <= limit:
        return value  # nothing to clean, at a glance
    text = value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
    return text if len(text) <= limit else text[: limit - 1] + "…"
