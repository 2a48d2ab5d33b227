"""Makes responses of what handlers return, yield and raise. Runs on the handlers' threads: it calls user code."""

from __future__ import annotations

from outlast.payload import to_json_text
from outlastd.front_door.response import Response, json_text_response
from outlastd.front_door.sse import sse_event


class ResponseRenderer:
    """Renders the outcome of a handler as the contract has it (section 1.3)."""

    def value(self, value: object) -> Response:
        """Return the 200 for a return value, or the response that the handler made itself."""
        return _own_response(value) or json_text_response(to_json_text(value))

    def item(self, item: object) -> bytes:
        """Return the event for what a generator yielded."""
        return sse_event(to_json_text(item))


def _own_response(value: object) -> Response | None:
    """Return a Starlette response as ours. Known by its shape: Starlette is nothing that outlast depends on."""
    status, body = getattr(value, "status_code", None), getattr(value, "body", None)
    raw_headers = getattr(value, "raw_headers", None)
    if type(status) is not int or not isinstance(body, bytes) or not isinstance(raw_headers, list):
        return None
    headers = {name.decode("latin-1").title(): text.decode("latin-1") for name, text in raw_headers}
    headers.pop("Content-Length", None)
    return Response(status, body, headers.pop("Content-Type", "application/octet-stream"), headers)


def message_of(error: BaseException) -> str:
    """Return what an exception says; its name when it says nothing and is none that handlers usually raise."""
    try:
        text = str(error)
    except Exception:  # a __str__ of the user's
        return type(error).__name__
    return text if text or isinstance(error, Exception) else type(error).__name__


def http_error_of(error: BaseException) -> tuple[int, object] | None:
    """Return status and detail of an HTTPException such as Starlette's; None for any other exception."""
    status = getattr(error, "status_code", None)
    if type(status) is int and 400 <= status <= 599 and hasattr(error, "detail"):
        return status, error.detail
    return None
