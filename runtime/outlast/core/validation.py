"""Limits on what enters the system. Every operation and request is checked here before it enters a batch."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.core.errors import InvalidField

#: Characters at the most: a task type, a session id or a request id, a label's key and value.
MAX_NAME = 256
MAX_ID = 1024
MAX_LABELS = 64
MAX_LABEL_VALUE = 1024
#: Bytes at the most of what a program says of a task when it starts it.
MAX_METADATA = 1024 * 1024


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


def clean_text(value: str, limit: int) -> str:
    """Return ``value`` as text that every store can hold: for messages of exceptions, which nobody can refuse."""
    text = value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
    return text if len(text) <= limit else text[: limit - 1] + "…"
