"""The task manager beside a session host, as the session host sees it (ports.SessionTasks)."""

from __future__ import annotations

from outlast.core.session import SessionKey
from outlastd.task_manager import session_tokens
from outlastd.task_manager.server import TaskManagerServer


class HostTasks:
    """Tells a task manager what has become of sessions."""

    def __init__(self, server: TaskManagerServer, secret: str) -> None:
        """``secret`` is the token of workers that the server wants."""
        self._server = server
        self._secret = secret

    async def lose(self, key: SessionKey, message: str) -> int:
        """Record that the processes of a session are gone: end or give back what they held; return how many tasks."""
        return await self._server.lose_session(key, message)

    def worker_token(self, key: SessionKey) -> str:
        """Return what a process of the session shows as a worker, and as a caller of TaskService: it opens no other."""
        return session_tokens.mint(self._secret, key)
