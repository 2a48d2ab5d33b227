"""Makes responses of what handlers return, yield and raise. Runs on the handlers' threads: it calls user code."""

from __future__ import annotations

from contextvars import Context, copy_context

from outlast.core.value import value
from outlast.payload import to_json_text
from outlast.telemetry import lines
from outlastd.front_door.asgi_types import ASGIApp
from outlastd.front_door.failure import Failure
from outlastd.front_door.raw_headers import read_raw_headers
from outlastd.front_door.response import Response, json_text_response
from outlastd.front_door.sse import sse_event


@value(frozen=True, slots=True)
class AsgiResponse:
    """A response that a handler made and that says by itself, as an ASGI application, what is sent.

    So does what streams, sends a file or goes on after it.
    """

    app: ASGIApp
    #: The status that it was made with; what it sends may say another, as parts of files do.
    status: int
    #: The handler's, for the response to run in.
    context: Context


class ResponseRenderer:
    """Renders the outcome of a handler as the contract has it (section 1.3)."""

    def value(self, value: object) -> Response | AsgiResponse:
        """Return the 200 for a return value, or the response that the handler made itself."""
        made = None if type(value) in _NO_RESPONSES else _own_response(value)
        return made or json_text_response(to_json_text(value, lines.serialization_failed))

    def item(self, item: object) -> bytes:
        """Return the event for what a generator yielded."""
        return sse_event(to_json_text(item, lines.serialization_failed))

    def error(self, error: BaseException) -> Failure:
        """Return what an exception says of itself."""
        return Failure.of(error)


#: What handlers return as a rule, and what looks like no response.
_NO_RESPONSES: frozenset[type] = frozenset({dict, list, str, type(None)})


def _own_response(value: object) -> Response | AsgiResponse | None:
    """Return a Starlette response as ours. Known by its shape: Starlette is nothing that outlast depends on."""
    status, raw_headers = getattr(value, "status_code", None), getattr(value, "raw_headers", None)
    if type(status) is not int or not isinstance(raw_headers, list):
        return None
    body = getattr(value, "body", None)
    if not callable(value):
        is_plain = isinstance(body, bytes)
    else:
        is_plain = isinstance(body, bytes | memoryview) and _is_starlettes_own(value)
    if is_plain:
        content_type, headers = read_raw_headers(raw_headers)
        headers.popall("Content-Length", None)
        return Response(status, bytes(body), content_type, headers)  # type: ignore[arg-type]
    return AsgiResponse(value, status, copy_context()) if callable(value) else None


def _is_starlettes_own(response: object) -> bool:
    """Tell whether nothing but status, headers and body is sent of a Starlette response, and nothing done after."""
    call = type(response).__call__
    of_base = call.__qualname__ == "Response.__call__" and call.__module__ == "starlette.responses"
    return of_base and getattr(response, "background", None) is None
