"""Page tokens: opaque to clients; inside, where the page ended and which filters it was made with."""

from __future__ import annotations

import base64
import hashlib
import struct
from datetime import UTC, datetime, timedelta

from outlast.core.errors import InvalidField
from outlast.core.task_id import MAX_TASK_ID
from outlastd.stores.port import Position, TaskFilter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Microseconds since 1970, the task's id, a digest of the filters.
_LAYOUT = struct.Struct(">qq8s")


def encode_page_token(position: Position, which: TaskFilter) -> str:
    """Return the token that asks for what comes after ``position``."""
    micros = (position.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_LAYOUT.pack(micros, position.task_id, _digest(which))).decode()


def decode_page_token(token: str, which: TaskFilter) -> Position:
    """Return where the page ended.

    Raises:
        InvalidField: it is no token of ours, or was made with other filters.
    """
    try:
        micros, task_id, digest = _LAYOUT.unpack(base64.b64decode(token.encode("ascii"), b"-_", validate=True))
        created_at = _EPOCH + timedelta(microseconds=micros)
    except (ValueError, struct.error, OverflowError):
        raise InvalidField("page_token", "is no page token of this task manager") from None
    if not 0 < task_id <= MAX_TASK_ID:
        raise InvalidField("page_token", "is no page token of this task manager")
    if digest != _digest(which):
        raise InvalidField("page_token", "was made with other filters: states, session_id and agent must be the same")
    return Position(created_at, task_id)


def _digest(which: TaskFilter) -> bytes:
    filters = repr((sorted(which.states), which.session_id, which.agent))
    return hashlib.sha256(filters.encode()).digest()[:8]
