"""The composition root: the one place that wires the services to a runtime."""

from __future__ import annotations

from outlastd.launch.agent import run_agent
from outlastd.launch.asgi import AsgiAgent
from outlastd.launch.host import run_host
from outlastd.launch.manager import run_task_manager

__all__ = ["AsgiAgent", "run_agent", "run_host", "run_task_manager"]
