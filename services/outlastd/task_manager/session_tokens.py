"""Tokens of sessions: each opens the task manager for one session of one agent, and for nothing else.

Made from the token of workers (``OUTLAST_WORKER_TOKEN``): any replica that knows that one knows such a token when it
sees it, and nobody keeps a record of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from outlast.core.session import SessionKey

PREFIX = "session."
#: Characters of a token at the most: there is room for the longest names of a session host.
MAX_TOKEN = 1_024

#: What is signed begins so: what is made from the same secret for another purpose is never one of these.
_PURPOSE = b"outlast session token 1\0"


def mint(secret: str, key: SessionKey) -> str:
    """Return the token of a session: printable ASCII without spaces.

    Raises:
        ValueError: the secret, the agent or the session id is empty, or the names are too long for a token.
    """
    if not (secret and key.agent and key.session_id):
        raise ValueError("the token of a session is made from a secret, an agent and a session id")
    named = f"{_encoded(key.agent.encode())}.{_encoded(key.session_id.encode())}"
    signature = hmac.new(secret.encode(), _PURPOSE + named.encode(), hashlib.sha256).digest()
    token = f"{PREFIX}{named}.{_encoded(signature)}"
    if len(token) > MAX_TOKEN:
        raise ValueError(f"the token of {key} would have more than {MAX_TOKEN:,} characters")
    return token


def read(secret: str, token: str) -> SessionKey | None:
    """Return the session that a token was made for with this secret; None when it is no such token."""
    if not token.startswith(PREFIX) or len(token) > MAX_TOKEN:
        return None
    try:
        agent, session_id, _ = token.removeprefix(PREFIX).split(".")
        key = SessionKey(_decoded(agent), _decoded(session_id))
        # Made anew and compared as a whole: a token has one spelling, whatever else base64 can be read from.
        return key if hmac.compare_digest(mint(secret, key).encode(), token.encode()) else None
    except ValueError:
        return None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> str:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
