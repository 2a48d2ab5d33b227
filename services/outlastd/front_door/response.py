"""A response, as the parts of the front door make it; which server sends it does not show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from multidict import CIMultiDict

from outlastd.front_door.request import Refusal

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
EVENT_STREAM = "text/event-stream; charset=utf-8"
#: Statuses without a body, whatever a Content-Length says.
BODILESS = (204, 304)
#: Statuses by which a client is to come again, and after how many seconds.
_AGAIN = (429, 503)
_RETRY_AFTER = {"Retry-After": "1"}


class Chunks(Protocol):
    """A body that comes piece by piece. Whoever was given it closes it, whether or not it was read."""

    def __aiter__(self) -> Self:
        """Return itself."""
        ...

    async def __anext__(self) -> bytes:
        """Return the next piece."""
        ...

    async def aclose(self) -> None:
        """Let go of what the body comes from: it is at its end, or the client has left."""
        ...


@dataclass(slots=True, init=False)
class Response:
    """One HTTP response."""

    status: int
    body: bytes | Chunks
    #: None for a response without one.
    content_type: str | None
    #: All other headers; a name may come more than once, as ``Set-Cookie`` does.
    headers: CIMultiDict[str]

    def __init__(
        self,
        status: int,
        body: bytes | Chunks,
        content_type: str | None = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = CIMultiDict(headers or ())
        if content_type is not None and content_type.startswith("text/event-stream"):
            # A proxy is to pass every event on as it comes: nginx would gather them.
            self.headers.setdefault("X-Accel-Buffering", "no")


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return ``value`` as compact JSON, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return json_text_response(text, status, headers)


def json_text_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON text as it is, but that a lone surrogate, which UTF-8 cannot say, becomes its JSON escape."""
    return Response(status, text.encode("utf-8", "backslashreplace"), JSON, headers)


def text_response(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return plain text."""
    return Response(status, text.encode(), TEXT, headers)


def internal_error(request_id: str) -> dict[str, object]:
    """Return what is told of an error whose text the caller is not to see (OUTLAST_ERROR_DETAIL)."""
    return {"error": "Internal error", "requestId": request_id}


def refusal_response(refusal: Refusal) -> Response:
    """Return what a refused request is answered."""
    headers = _RETRY_AFTER | refusal.headers if refusal.status in _AGAIN else refusal.headers
    return json_response({"error": refusal.error, **refusal.more}, refusal.status, headers)
