"""The errors of the client API (contract section 1.6): a status, ``x-amzn-ErrorType``, and a message."""

from __future__ import annotations

from collections.abc import Mapping

from outlastd.front_door.response import Response, json_response

ERROR_TYPE = "x-amzn-ErrorType"


class ApiError(Exception):
    """What a request is answered instead of a result."""

    def __init__(
        self, status: int, kind: str, message: str, *, headers: Mapping[str, str] | None = None, ran: bool = False
    ) -> None:
        """``ran`` says that the agent's code has seen the request: a repeat of it gets the same answer."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = dict(headers or {})
        self.ran = ran

    def response(self) -> Response:
        """Return it as the clients read it."""
        return json_response({"message": self.message}, self.status, {ERROR_TYPE: self.kind, **self.headers})


def invalid(message: str) -> ApiError:
    """Return what a request is answered that cannot be meant."""
    return ApiError(400, "ValidationException", message)


def unauthorized(headers: Mapping[str, str] | None = None) -> ApiError:
    """Return what somebody is answered who shows no bearer token where one is wanted."""
    return ApiError(401, "UnauthorizedException", "Unauthorized", headers=headers)


def over_quota(message: str) -> ApiError:
    """Return what a request is answered for which there is no room; coming again later may help."""
    return ApiError(402, "ServiceQuotaExceededException", message)


def denied() -> ApiError:
    """Return what is answered to whoever may not do this. It says no more: a reason would be a hint."""
    return ApiError(403, "AccessDeniedException", "Access denied")


def not_found(message: str) -> ApiError:
    """Return what is answered where there is nothing, or nothing that the caller may know of."""
    return ApiError(404, "ResourceNotFoundException", message)


def conflict(message: str) -> ApiError:
    """Return what is answered when the state of things does not allow a request; clients do not repeat it."""
    return ApiError(409, "ConflictException", message)


def busy() -> ApiError:
    """Return what is answered while a session starts or stops; clients repeat it."""
    return ApiError(409, "RetryableConflictException", "Session operation in progress, please retry")


def agent_failed(message: str, *, ran: bool = True) -> ApiError:
    """Return what is answered when the agent has failed, or answered with a status of 4xx or 5xx."""
    return ApiError(424, "RuntimeClientError", message, ran=ran)


def throttled(message: str) -> ApiError:
    """Return what is answered when there is too much at once; clients repeat it."""
    return ApiError(429, "ThrottlingException", message)


def internal() -> ApiError:
    """Return what is answered to a fault of ours; clients repeat it."""
    return ApiError(500, "InternalServerException", "Internal error")
