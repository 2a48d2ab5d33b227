"""What an exception of the user's says of itself. Asking it calls user code, so it is asked on the handler's thread."""

from __future__ import annotations

import json
from typing import Any

from outlast.core.errors import BacklogFull
from outlast.core.value import value
from outlast.telemetry.log import error_fields
from outlastd.front_door.request import Refusal
from outlastd.front_door.response import Response, json_response, json_text_response, refusal_response


@value(frozen=True, slots=True)
class HTTPFailure:
    """An exception that has an answer: Starlette's HTTPException, which the handler chose, and our BacklogFull."""

    status: int
    #: Its detail, as text for the log.
    detail: str
    response: Response
    #: Whether clients send the request again by themselves: wrong once it has started something.
    invites_repeat: bool = False


@value(frozen=True, slots=True)
class Failure:
    """An exception, and all that has to be known of it."""

    error: BaseException
    #: What the caller is told.
    message: str
    #: What the log and the span are told.
    fields: dict[str, Any]
    #: What it has to answer; None for any other exception.
    http: HTTPFailure | None

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Ask an exception. Never raises."""
        return cls(error, message_of(error), error_fields(error), _http_failure(error))


def message_of(error: BaseException) -> str:
    """Return what an exception says; its name when it says nothing and is none that handlers usually raise."""
    text = _text_of(error)
    return text if text or isinstance(error, Exception) else type(error).__name__


def _http_failure(error: BaseException) -> HTTPFailure | None:
    if isinstance(error, BacklogFull):
        refusal = Refusal(429, error.message, code=str(error.code))
        return HTTPFailure(refusal.status, error.message, refusal_response(refusal), invites_repeat=True)
    # Known by its name: Starlette is nothing that outlast depends on.
    if any(cls.__module__ == "starlette.exceptions" for cls in type(error).__mro__):
        status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
        if type(status) is int:
            return HTTPFailure(status, _text_of(detail), _response(status, detail))
    return None


def _response(status: int, detail: object) -> Response:
    """Return what the caller is told, whatever the detail is."""
    try:
        text = json.dumps({"error": detail}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except Exception:  # no JSON
        return json_response({"error": _text_of(detail)}, status)
    return json_text_response(text, status)


def _text_of(value: object) -> str:
    """Return what ``str()`` says of a value; its type's name when that raises."""
    try:
        return str(value)
    except BaseException:  # SystemExit too: whoever asks waits for an answer
        return type(value).__name__
