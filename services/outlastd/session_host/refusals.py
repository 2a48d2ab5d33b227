"""The front door's refusals in the shape of the client API (contract section 1.6)."""

from __future__ import annotations

from outlastd.front_door.request import Refusal
from outlastd.front_door.response import Response, json_response
from outlastd.session_host.api_error import ERROR_TYPE

_KINDS = {
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "RequestTimeoutException",
    409: "ConflictException",
    429: "ThrottlingException",
}


def refused(refusal: Refusal) -> Response:
    """Return what a refused request is answered; what the refusal says beside its text is said too."""
    other = "InternalServerException" if refusal.status >= 500 else "ValidationException"
    headers = {**refusal.headers, ERROR_TYPE: _KINDS.get(refusal.status, other)}
    return json_response({"message": refusal.error, **refusal.more}, refusal.status, headers)
