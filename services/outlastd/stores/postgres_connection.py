"""A connection to PostgreSQL, as much of it as the store uses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

Row = Sequence[Any]


class Connection(Protocol):
    """What statements are run on: asyncpg's connection, or what a pool of it lends."""

    async def execute(self, query: str, *arguments: Any) -> str:
        """Run a statement that returns nothing; several of them where there are no arguments."""
        ...

    async def fetch(self, query: str, *arguments: Any) -> Sequence[Row]:
        """Return the rows of a query."""
        ...

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Return the first row of a query, or None where there is none."""
        ...

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """Return the first value of the first row of a query, or None where there is none."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Run what follows in one transaction."""
        ...
