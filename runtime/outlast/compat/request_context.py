"""What a handler of the original's gets as ``context``: a pydantic model, and in it a request of Starlette's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict


class RequestContext(BaseModel):
    """What is known of the request that a handler is called for."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    #: The caller's conversation; None when the request named none.
    session_id: str | None = None
    #: The request headers that may reach agent code; None when there are none.
    request_headers: dict[str, str] | None = None
    #: Starlette's Request or WebSocket where Starlette is installed, else the front door's own.
    request: Any | None = None


def as_starlette(request: Any, app: object) -> Any:
    """Return the front door's Request as Starlette's, or as it is: a WebSocket, or where there is no Starlette."""
    scope = getattr(request, "scope", None)
    if scope is None or scope["type"] != "http" or (make := _starlette_request()) is None:
        return request
    scope["app"] = app
    # The front door has read the body: it is given again, to whoever asks and however often.
    message = {"type": "http.request", "body": request.body or b"", "more_body": False}

    async def receive() -> dict[str, Any]:
        return message

    return make(scope, receive)


@cache
def _starlette_request() -> Callable[..., Any] | None:
    try:
        from starlette.requests import Request
    except ImportError:
        return None
    return Request
