"""What a request claims once its headers are looked at, and what is said of one that is not believed."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.telemetry.log import get_logger
from outlastd.session_host.api_error import ApiError, denied
from outlastd.session_host.principal import Principal


@dataclass(frozen=True, slots=True)
class Known:
    """The claim of somebody who is known whatever the body is."""

    principal: Principal

    def prove(self, body_sha256: str) -> Principal:
        """Return who it is."""
        return self.principal


class TokenRefused(Exception):
    """A bearer token is not to be believed; the message is for the log."""


def note(reason: str) -> None:
    """Tell somebody who looks for a fault why a request was not believed; its sender hears nothing of it."""
    get_logger().debug("a request was not believed", reason=reason)


def refused(reason: str) -> ApiError:
    """Return the 403 for a request that is not believed."""
    note(reason)
    return denied()
