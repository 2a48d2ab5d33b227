"""How many there may be at a time of what takes a while."""

from __future__ import annotations

from collections.abc import Callable

from outlastd.session_host.api_error import throttled


class Room:
    """Places, each for one request, body or connection."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._taken = 0

    def enter(self) -> Callable[[], None]:
        """Take a place, and return what leaves it, once. Raises ApiError 429 when there is none."""
        if self._taken >= self._limit:
            raise throttled(f"{self._limit:,} {self._what} are under way; try again")
        self._taken += 1
        return self._leave

    def _leave(self) -> None:
        self._taken -= 1
