"""Requests, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import unquote

from multidict import CIMultiDict, CIMultiDictProxy

from outlastd.front_door.request import Request


class StillClock:
    """Always the same time."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 6, 58, 23, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the time of day."""
        return self._now

    def monotonic(self) -> float:
        """Return seconds."""
        return 0.0

    async def sleep(self, seconds: float) -> None:
        """Nobody here waits."""
        raise NotImplementedError


async def _no_body(limit: int) -> bytes:
    return b""


def asking(
    method: str = "POST",
    raw_path: str = "/runtimes/a/invocations",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
    *,
    peer: str = "127.0.0.1",
    connection: int = 0,
) -> Request:
    """Return a request."""
    return Request(
        method,
        unquote(raw_path),
        query,
        CIMultiDictProxy(CIMultiDict(headers)),
        peer,
        _no_body,
        raw_path=raw_path,
        peer_port=50_000,
        own_port=8080,
        connection=connection,
    )
