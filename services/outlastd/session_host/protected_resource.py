"""Where OAuth clients find out whose tokens an agent takes (RFC 9728; contract section 1.6)."""

from __future__ import annotations

from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, json_response
from outlastd.session_host.arn import with_whole_arn
from outlastd.session_host.routing import Routes

_METADATA = "/.well-known/oauth-protected-resource"


class ProtectedResource:
    """Tells of one issuer, for every agent of a host."""

    def __init__(self, issuer: str, public_url: str | None) -> None:
        """``public_url`` is how clients reach the host; None for the plain HTTP of whatever host they name."""
        self._issuer = issuer
        self._public_url = public_url

    def route(self, routes: Routes) -> None:
        """Enter the path; nobody needs credentials for it."""
        routes.add("GET", f"/runtimes/{{}}/invocations{_METADATA}", self.describe)

    async def describe(self, request: Request, segment: str) -> Response:
        """Answer whose tokens are taken, and how they are shown; whether there is such an agent is not said."""
        return json_response(
            {
                "resource": self._invocations(request, segment),
                "authorization_servers": [self._issuer],
                "bearer_methods_supported": ["header"],
            }
        )

    def challenge(self, request: Request) -> str:
        """Return the ``WWW-Authenticate`` of a 401."""
        path = with_whole_arn(request.raw_path.split("/")[1:])
        if len(path) < 2 or path[0] != "runtimes":
            return "Bearer"
        return f'Bearer resource_metadata="{self._invocations(request, path[1])}{_METADATA}?qualifier=DEFAULT"'

    def _invocations(self, request: Request, segment: str) -> str:
        origin = self._public_url or f"http://{request.headers.get('Host', '')}"
        return f"{origin}/runtimes/{segment}/invocations"
