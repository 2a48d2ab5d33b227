"""outlast: an open, self-hosted runtime for agents whose work outlasts the request."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from outlast.loading import loading

if TYPE_CHECKING:
    from outlast.app import App
    from outlast.context import RequestContext
    from outlast.core.errors import BacklogFull, InvalidField, OutlastError, TaskManagerUnavailable
    from outlast.ping import PingStatus
    from outlast.tasks.current import CurrentTask, current_task
    from outlast.tasks.failed import TaskFailed
    from outlast.tasks.handle import TaskHandle

__version__ = "0.1.0"

__all__ = [
    "App",
    "BacklogFull",
    "CurrentTask",
    "InvalidField",
    "OutlastError",
    "PingStatus",
    "RequestContext",
    "TaskFailed",
    "TaskHandle",
    "TaskManagerUnavailable",
    "current_task",
]

#: Where the public names live. They are loaded with their first use: asyncio, which most of them need, takes longer to
#: load than all of ours, and whoever asks for the version or the command line's help needs none of it.
_HOMES = {
    "App": "outlast.app",
    "BacklogFull": "outlast.core.errors",
    "CurrentTask": "outlast.tasks.current",
    "InvalidField": "outlast.core.errors",
    "OutlastError": "outlast.core.errors",
    "PingStatus": "outlast.ping",
    "RequestContext": "outlast.context",
    "TaskFailed": "outlast.tasks.failed",
    "TaskHandle": "outlast.tasks.handle",
    "TaskManagerUnavailable": "outlast.core.errors",
    "current_task": "outlast.tasks.current",
}


if not TYPE_CHECKING:  # type checkers are to know a wrong name when they see one

    def __getattr__(name: str) -> object:
        """Load a public name on its first use (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module 'outlast' has no attribute {name!r}")
        with loading():
            value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
