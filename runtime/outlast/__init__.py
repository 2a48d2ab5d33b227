"""outlast: an open, self-hosted runtime for agents whose work outlasts the request."""

from __future__ import annotations

from outlast.app import App
from outlast.context import RequestContext
from outlast.ping import PingStatus
from outlast.tasks.current import CurrentTask, current_task
from outlast.tasks.handle import TaskHandle

__version__ = "0.1.0"

__all__ = ["App", "CurrentTask", "PingStatus", "RequestContext", "TaskHandle", "current_task"]
