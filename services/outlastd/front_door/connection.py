"""One connection: aiohttp's, with errors in the contract's shape, and with word when the client has left."""

from __future__ import annotations

import json
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong


class Connection(web.RequestHandler):
    """Speaks HTTP with one client."""

    __slots__ = ("on_lost", "upgraded")

    #: Called once the client has left, while somebody wants to know.
    on_lost: Callable[[], object] | None
    #: Whether it has become a WebSocket.
    upgraded: bool

    def close(self) -> None:
        """Take no further request. Of a WebSocket nothing is to be closed here: it would hear no more of its client."""
        if not self.upgraded:
            super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take note of the end of the connection."""
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or not in bounds. That is the client's fault, and no line in our log."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if isinstance(exc, LineTooLong):
            status, error = 431, {"error": "Request header too large"}
        elif status >= 500:
            error = {"error": "Internal error"}
        else:
            first_line, _, _ = (message or "").strip().partition("\n")
            error = {"error": "Bad request", "details": first_line.rstrip(":")}
        response = web.Response(status=status, body=json.dumps(error).encode(), content_type="application/json")
        response.force_close()
        return response
