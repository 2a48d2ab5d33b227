"""What a payload may ask of the agent itself while ``debug`` is on (contract section 4.1)."""

from __future__ import annotations

import time
from typing import Any

from outlast.context import Invocation
from outlast.ping import PingBoard, PingStatus
from outlast.telemetry import lines
from outlastd.front_door.agent import Agent
from outlastd.front_door.response import Response, json_response

#: The member of a payload that names the action.
ACTION = "_agent_core_app_action"


class DebugActions:
    """Runs the actions."""

    def __init__(self, agent: Agent, ping: PingBoard) -> None:
        self._agent = agent
        self._ping = ping

    async def run(self, payload: object, invocation: Invocation) -> Response | None:
        """Answer a payload that asks for an action; None for any other, and while ``debug`` is off."""
        if not self._agent.debug or not isinstance(payload, dict) or not payload.get(ACTION):
            return None
        action, began = payload[ACTION], time.monotonic()
        lines.write("DEBUG", f"Processing debug action: {action}", invocation=invocation)
        match action:
            case "ping_status":
                report = await self._ping.ask()
                answer: dict[str, Any] = report._asdict()
            case "job_status":
                answer = self._agent.get_async_task_info()
            case "force_healthy":
                answer = self._force(PingStatus.HEALTHY, invocation)
            case "force_busy":
                answer = self._force(PingStatus.HEALTHY_BUSY, invocation)
            case "clear_forced_status":
                self._ping.force(None)
                lines.write("INFO", "Forced ping status cleared", invocation=invocation)
                answer = {"forced_status": "Cleared"}
            case _:
                lines.write("WARNING", f"Unknown debug action requested: {action}", invocation=invocation)
                return json_response({"error": f"Unknown action: {action}"}, 400)
        lines.write("DEBUG", f"Debug action '{action}' completed successfully", invocation=invocation)
        lines.write("INFO", f"Debug action completed ({time.monotonic() - began:.3f}s)", invocation=invocation)
        return json_response(answer)

    def _force(self, status: PingStatus, invocation: Invocation) -> dict[str, Any]:
        self._ping.force(status)
        lines.write("INFO", f"Ping status forced to {status.value}", invocation=invocation)
        return {"forced_status": status.value}
