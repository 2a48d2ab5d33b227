"""What a payload may ask of the agent itself while ``debug`` is on (contract section 4.1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from outlast.context import Invocation
from outlast.ping import PingBoard, PingStatus
from outlast.telemetry import lines
from outlastd.front_door.agent import Agent
from outlastd.front_door.response import Response, json_response

#: The member of a payload that names the action.
ACTION = "_agent_core_app_action"


class DebugActionFailed(Exception):
    """An action has raised, and the log says what."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class DebugActions:
    """Runs the actions."""

    def __init__(self, agent: Agent, ping: PingBoard) -> None:
        self._agent = agent
        self._ping = ping
        self._actions: dict[str, Callable[[Invocation], Awaitable[dict[str, Any]]]] = {
            "ping_status": self._ping_status,
            "job_status": self._job_status,
            "force_healthy": self._force_healthy,
            "force_busy": self._force_busy,
            "clear_forced_status": self._clear_forced_status,
        }

    async def run(self, payload: Any, invocation: Invocation) -> Response | None:
        """Answer a payload that asks for an action; None for any other, and while ``debug`` is off.

        Raises:
            AttributeError: the payload is no object.
            DebugActionFailed: the action has raised.
        """
        if not self._agent.debug:
            return None
        asked = payload.get(ACTION)
        if not asked:
            return None
        lines.debug("Processing debug action: %s", asked, invocation=invocation)
        try:
            if asked not in self._actions:
                lines.write("WARNING", f"Unknown debug action requested: {asked}", invocation=invocation)
                return json_response({"error": f"Unknown action: {asked}"}, 400)
            answer = json_response(await self._actions[asked](invocation))
        except Exception as error:
            lines.write("ERROR", f"Debug action '{asked}' failed", invocation=invocation, error=error)
            raise DebugActionFailed(error) from error
        lines.debug("Debug action '%s' completed successfully", asked, invocation=invocation)
        return answer

    async def _ping_status(self, invocation: Invocation) -> dict[str, Any]:
        return (await self._ping.ask()).as_json()

    async def _job_status(self, invocation: Invocation) -> dict[str, Any]:
        return self._agent.get_async_task_info()

    async def _force_healthy(self, invocation: Invocation) -> dict[str, Any]:
        return self._force(PingStatus.HEALTHY, invocation)

    async def _force_busy(self, invocation: Invocation) -> dict[str, Any]:
        return self._force(PingStatus.HEALTHY_BUSY, invocation)

    async def _clear_forced_status(self, invocation: Invocation) -> dict[str, Any]:
        self._agent.clear_forced_ping_status()
        lines.write("INFO", "Forced ping status cleared", invocation=invocation)
        return {"forced_status": "Cleared"}

    def _force(self, status: PingStatus, invocation: Invocation) -> dict[str, Any]:
        self._agent.force_ping_status(status)
        lines.write("INFO", f"Ping status forced to {status.value}", invocation=invocation)
        return {"forced_status": status.value}
