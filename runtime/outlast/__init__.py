"""outlast: an open, self-hosted runtime for agents whose work outlasts the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.loading import load_on_first_use

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
    __getattr__ = load_on_first_use(__name__, globals(), _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
