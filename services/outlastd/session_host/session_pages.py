"""Page tokens of the list of sessions: opaque to clients; inside, where the page ended and what it was filtered by."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import orjson

from outlast.core.session import SessionKey
from outlastd.session_host import api_error
from outlastd.session_host.session_view import ViewState
from outlastd.stores.session_port import SessionPosition

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 1_000
#: Characters of a token, at the most.
MAX_TOKEN = 2_048

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode_page_token(position: SessionPosition, agent: str, states: frozenset[ViewState]) -> str:
    """Return the token that asks for what comes after ``position``."""
    micros = (position.created_at - _EPOCH) // timedelta(microseconds=1)
    inside = [micros, position.key.agent, position.key.session_id, _digest(agent, states)]
    return base64.urlsafe_b64encode(orjson.dumps(inside)).decode()


def decode_page_token(token: str, agent: str, states: frozenset[ViewState]) -> SessionPosition:
    """Return where the page ended.

    Raises:
        ApiError: it is no token of ours, or was made with other filters.
    """
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError
        micros, its_agent, session_id, digest = orjson.loads(base64.b64decode(token.encode("ascii"), b"-_", True))
        if not (type(micros) is int and isinstance(its_agent, str) and isinstance(session_id, str)):
            raise ValueError
        position = SessionPosition(_EPOCH + timedelta(microseconds=micros), SessionKey(its_agent, session_id))
    except (ValueError, TypeError, OverflowError):
        raise api_error.invalid("pageToken: is no page token of this session host") from None
    if digest != _digest(agent, states):
        raise api_error.invalid("pageToken: was made with other filters: agent and states must be the same")
    return position


def _digest(agent: str, states: frozenset[ViewState]) -> str:
    return hashlib.sha256(repr((agent, sorted(states))).encode()).hexdigest()[:16]
