"""What the front door asks of an agent's App."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from outlast.ping import PingStatus


class Agent(Protocol):
    """The App. Asked at every request: a program may set things late."""

    @property
    def entrypoint_handler(self) -> Callable[..., Any] | None:
        """The function that ``POST /invocations`` calls; None for none."""
        ...

    @property
    def websocket_handler(self) -> Callable[..., Any] | None:
        """The function that a connection to ``/ws`` is given to; None for none."""
        ...

    @property
    def debug(self) -> bool:
        """Whether payloads may ask for debug actions."""
        ...

    def make_context(self, session_id: str | None, request_headers: dict[str, str] | None, request: Any) -> object:
        """Return what a handler gets as ``context``; on the handler's thread.

        ``request`` is the front door's Request, or the WebSocket.
        """
        ...

    def get_async_task_info(self) -> dict[str, Any]:
        """Return how many tasks live here, their names and ages."""
        ...

    def force_ping_status(self, status: PingStatus) -> None:
        """Have ``/ping`` say ``status`` until it is cleared."""
        ...

    def clear_forced_ping_status(self) -> None:
        """Undo ``force_ping_status``."""
        ...
