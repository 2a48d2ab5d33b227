"""Finds the sessions of tasks that other processes have changed, where somebody watches a session."""

from __future__ import annotations

from contextlib import suppress

from outlast.core.errors import TaskNotFound
from outlastd.stores.port import TaskStore
from outlastd.task_manager.notifier import Notifier

#: Tasks whose sessions are remembered: each is read once, however often it changes.
REMEMBERED = 10_000
#: Tasks that are looked up for one hint at the most; with more, everybody looks.
LOOKED_UP = 200


class SessionHints:
    """Wakes those who watch the sessions that hinted tasks belong to."""

    def __init__(self, store: TaskStore, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._sessions: dict[int, str] = {}

    async def wake(self, task_ids: frozenset[int]) -> None:
        """Ring the bells of the tasks' sessions."""
        if not self._notifier.sessions:
            return
        unknown = task_ids - self._sessions.keys()
        if len(unknown) > LOOKED_UP:
            self._notifier.hint(None)
            return
        for task_id in unknown:
            with suppress(TaskNotFound):
                self._sessions[task_id] = (await self._store.get(task_id)).session_id
        for session_id in {self._sessions.get(task_id, "") for task_id in task_ids} - {""}:
            self._notifier.wake(session_id)
        while len(self._sessions) > REMEMBERED:
            del self._sessions[next(iter(self._sessions))]  # the one that was read first
