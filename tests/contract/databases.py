"""Databases for tests that need an empty one again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from outlast.core.policy import Policy
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend

T = TypeVar("T")


class Databases:
    """Gives each run of the machine two stores on an empty database: the one before, when it was left empty."""

    def __init__(self, make: Callable[[FakeClock], Backend]) -> None:
        self._make = make
        self._runner = asyncio.Runner()
        self._opened: list[Backend] = []
        self._empty: tuple[FakeClock, Sequence[TaskStore]] | None = None

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *_: object) -> None:
        for backend in self._opened:
            self.run(backend.close())
        self._runner.close()

    def run(self, work: Awaitable[T]) -> T:
        """Await something on the stores' loop."""

        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def take(self, policy: Policy) -> tuple[FakeClock, Sequence[TaskStore]]:
        """Return two stores and their clock."""
        taken, self._empty = self._empty, None
        if taken is None:
            clock = FakeClock()
            backend = self._make(clock)
            self._opened.append(backend)
            taken = clock, [self.run(backend.open(policy)) for _ in range(2)]
        return taken

    def give_back(self, clock: FakeClock, stores: Sequence[TaskStore]) -> None:
        """Take stores back whose database is empty again."""
        self._empty = clock, stores
