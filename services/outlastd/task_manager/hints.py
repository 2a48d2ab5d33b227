"""Hears what other processes have changed in the store. Hints only: a lost one costs the wait until the next look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from outlast.core.errors import OutlastError
from outlast.telemetry.log import get_logger
from outlastd.stores.port import TaskStore
from outlastd.task_manager.session_hints import SessionHints

#: Seconds before the store is asked for hints again.
RETRY_SECONDS = 1.0

#: Called with the ids of tasks that others have changed; with None when any task may have changed.
OnHint = Callable[[frozenset[int] | None], None]


class HintListener:
    """Passes the store's hints on to everybody who waits for changes."""

    def __init__(self, store: TaskStore, session_hints: SessionHints, *listeners: OnHint) -> None:
        self._store = store
        self._session_hints = session_hints
        self._listeners = listeners

    async def run(self) -> None:
        """Listen until cancelled."""
        told = False
        while True:
            try:
                async with aclosing(self._store.hints()) as hints:
                    async for task_ids in hints:
                        told = False
                        for listener in self._listeners:
                            listener(task_ids)
                        if task_ids is not None:
                            await self._session_hints.wake(task_ids)
            except OutlastError as error:
                if not told:  # looking still finds everything, later
                    told = True
                    get_logger().warning("hints of other task managers are not heard", reason=error.message)
            await asyncio.sleep(RETRY_SECONDS)
