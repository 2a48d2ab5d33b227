"""The name of a session host, which one host at a time has on a database (SessionStore.hold)."""

from __future__ import annotations

import hashlib

from outlast.core.errors import StartRefused


def digest(host: str) -> bytes:
    """Return eight bytes that stand for a name among locks."""
    return hashlib.sha256(f"outlast host {host}".encode()).digest()[:8]


def taken(host: str, store: str) -> StartRefused:
    """Return what a host is answered whose name another one has; ``store`` is what people are told of the database."""
    return StartRefused(f"another session host named {host!r} uses {store}: stop it, or give this one another `name`")
