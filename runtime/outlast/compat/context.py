"""The original's access to the request from anywhere in a program, on outlast's own context."""

from __future__ import annotations

from outlast.context import current_invocation
from outlast.headers import IDENTITY_TOKEN, OAUTH2_CALLBACK_URL, WORKLOAD_ACCESS_TOKEN


class BedrockAgentCoreContext:
    """What is known of the request that the calling code runs for; None outside of one."""

    @classmethod
    def get_session_id(cls) -> str | None:
        """Return the session id."""
        invocation = current_invocation.get()
        return invocation.session_id or None if invocation else None

    @classmethod
    def get_request_id(cls) -> str | None:
        """Return the request id."""
        invocation = current_invocation.get()
        return invocation.request_id if invocation else None

    @classmethod
    def get_workload_access_token(cls) -> str | None:
        """Return the workload access token; the newer of its two headers wins."""
        return _credential(IDENTITY_TOKEN) or _credential(WORKLOAD_ACCESS_TOKEN)

    @classmethod
    def get_oauth2_callback_url(cls) -> str | None:
        """Return the address that an OAuth2 flow comes back to."""
        return _credential(OAUTH2_CALLBACK_URL)

    @classmethod
    def get_request_headers(cls) -> dict[str, str] | None:
        """Return the request headers that may reach agent code."""
        invocation = current_invocation.get()
        return invocation.request_headers if invocation else None


def _credential(header: str) -> str | None:
    invocation = current_invocation.get()
    if invocation is None:
        return None
    return next((value for name, value in invocation.credentials.items() if name.lower() == header.lower()), None)
