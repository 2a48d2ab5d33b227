"""``GET /ping`` (contract section 1.2)."""

from __future__ import annotations

from outlast.ping import PingBoard
from outlast.telemetry import lines
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, json_response
from outlastd.front_door.router import Router


class Ping:
    """Answers what the board says."""

    def __init__(self, board: PingBoard) -> None:
        self._board = board

    def route(self, router: Router) -> None:
        """Enter the path."""
        router.add("GET", "/ping", self.get)

    async def get(self, request: Request) -> Response:
        """Answer the status and since when it holds."""
        report = await self._board.ask()
        lines.write("DEBUG", f"Ping request - status: {report.status.value}")
        return json_response({"status": report.status.value, "time_of_last_update": report.time_of_last_update})
