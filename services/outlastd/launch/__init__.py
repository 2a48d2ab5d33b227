"""The composition root: the one place that wires the services to a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.loading import load_on_first_use

if TYPE_CHECKING:
    from outlastd.launch.agent import run_agent
    from outlastd.launch.asgi import AsgiAgent
    from outlastd.launch.host import run_host
    from outlastd.launch.manager import run_task_manager

__all__ = ["AsgiAgent", "run_agent", "run_host", "run_task_manager"]

#: Loaded with the first use: an agent has no use for a session host, nor a task manager for a front door.
_HOMES = {
    "AsgiAgent": "outlastd.launch.asgi",
    "run_agent": "outlastd.launch.agent",
    "run_host": "outlastd.launch.host",
    "run_task_manager": "outlastd.launch.manager",
}

if not TYPE_CHECKING:  # type checkers are to know a wrong name when they see one
    __getattr__ = load_on_first_use(__name__, globals(), _HOMES)
