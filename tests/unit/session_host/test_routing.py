"""Which pattern a path belongs to: what requests are counted by."""

from __future__ import annotations

import pytest

from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, json_response
from outlastd.session_host.routing import Routes

INVOCATIONS = "/runtimes/{}/invocations"


async def answer(request: Request, *segments: str) -> Response:
    """Answer anything."""
    return json_response(segments)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/runtimes/my_agent/invocations", INVOCATIONS),
        ("/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aeu%3A1%3Aruntime%2Fmy_agent/invocations", INVOCATIONS),
        ("/runtimes/arn:aws:bedrock-agentcore:eu:1:runtime/my_agent/invocations", INVOCATIONS),
        ("/ping", "/ping"),
        ("/runtimes//invocations", ""),
        ("/runtimes/my_agent", ""),
        (f"/runtimes/{'x' * 3_000}/invocations/{'x' * 3_000}", ""),
        ("/runtimes/%ff/invocations/more", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_route(path: str, pattern: str) -> None:
    """A path has the pattern that answers it, however its agent is written; what can be none has none."""
    routes = Routes()
    routes.add("POST", INVOCATIONS, answer)
    routes.add("GET", "/ping", answer)

    assert routes.route_of(path) == pattern
