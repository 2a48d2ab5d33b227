"""The handling of a request, from our own values to our own values; aiohttp is one adapter of it."""

from __future__ import annotations

from outlast.telemetry.log import get_logger
from outlastd.front_door.guard import Guard
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Response, json_response, refusal_response
from outlastd.front_door.router import Router


class Door:
    """Lets requests in and answers every one of them."""

    def __init__(self, guard: Guard, router: Router) -> None:
        self.guard = guard
        self._router = router

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; whoever gets a body of chunks closes it.

        Raises:
            ClientGone: the client left before its request was complete.
        """
        try:
            self.guard.check(request)
        except Refusal as refusal:
            return refusal_response(refusal)
        response = self.guard.preflight(request) or await self._answer(request)
        self.guard.mark(request, response)
        return response

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._router.dispatch(request)
        except Refusal as refusal:
            return refusal_response(refusal)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours: the operator sees it, the caller does not
            get_logger().error("a request failed", error=error, method=request.method, path=request.path)
            return json_response({"error": "Internal error"}, 500)
