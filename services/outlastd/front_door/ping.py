"""``GET /ping`` (contract section 1.2)."""

from __future__ import annotations

import time

from outlast.ping import PingBoard, PingReport, PingStatus
from outlast.telemetry import lines, records
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, json_response
from outlastd.front_door.router import Router

#: Seconds that an answer waits for log handlers of the program's own, which hear of it while DEBUG is on.
HEARD_WAIT = 0.02


class Ping:
    """Answers what the board says."""

    def __init__(self, board: PingBoard) -> None:
        self._board = board

    def route(self, router: Router) -> None:
        """Enter the path."""
        router.add("GET", "/ping", self.get)

    async def get(self, request: Request) -> Response:
        """Answer the status and since when it holds."""
        try:
            report = await self._board.ask()
        except Exception as error:  # a fault of ours, as a custom handler's is the board's to deal with
            lines.write("ERROR", "Ping endpoint failed", error=error)
            report = PingReport(PingStatus.HEALTHY, int(time.time()))
        else:
            if lines.debug("Ping request - status: %s", report.status.value):
                await records.heard(HEARD_WAIT)
        return json_response(report.as_json())
