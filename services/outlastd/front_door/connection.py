"""One connection: aiohttp's, with errors in the contract's shape, and with word when the client has left."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp.http_exceptions import LineTooLong

from outlastd.front_door import aiohttp_web as web
from outlastd.front_door.aiohttp_response import whole_response
from outlastd.front_door.request import Refusal
from outlastd.front_door.response import Response


class Connection(web.RequestHandler):
    """Speaks HTTP with one client."""

    __slots__ = ("number", "on_lost", "refused", "upgraded")

    #: Which one of the server's it is, from 1.
    number: int

    #: Called once the client has left, while somebody wants to know.
    on_lost: Callable[[], object] | None
    #: Makes the answer to what is refused.
    refused: Callable[[Refusal], Response]
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
            refusal = Refusal(431, "Request header too large")
        elif status >= 500:
            refusal = Refusal(status, "Internal error")
        else:
            first_line, _, _ = (message or "").strip().partition("\n")
            refusal = Refusal(status, "Bad request", details=first_line.rstrip(":"))
        response = whole_response(self.refused(refusal))
        response.force_close()
        return response
