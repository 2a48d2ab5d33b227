"""What names an agent in a path, and what does not."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlastd.front_door.response import Response
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.arn import agent_of, agent_or_former, decoded
from outlastd.session_host.routing import Routes

KNOWN = {"my_agent": 1, "other-agent": 2, "odd-AbCdEf1234": 3, "odd": 4}
ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-AbCdEf1234"


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        (ARN, "my_agent"),
        (ARN.replace("aws:", "aws-us-gov:"), "my_agent"),
        (f"{ARN}/runtime-endpoint/DEFAULT", "my_agent"),
        (ARN.removesuffix("-AbCdEf1234"), "my_agent"),
        ("my_agent-AbCdEf1234", "my_agent"),
        ("my_agent", "my_agent"),
        ("other-agent", "other-agent"),
        ("other-agent-0123456789", "other-agent"),
        ("odd-AbCdEf1234", "odd-AbCdEf1234"),
        ("odd-0123456789", "odd"),
    ],
)
def test_names_an_agent(text: str, agent: str) -> None:
    """An ARN, an id and a name, percent-encoded or not, name the agent; an exact name wins over one with a suffix."""
    assert agent_of(quote(text, safe=""), KNOWN) == agent
    assert agent_of(text, KNOWN) == agent


@pytest.mark.parametrize(
    "segment",
    [
        "",
        ".",
        "..",
        "%2e%2e",
        "my_agent%00",
        "my_agent%0a",
        "my_agent/../other-agent",
        "my_agent%2F..%2Fother-agent",
        quote(quote(ARN, safe=""), safe=""),
        "my agent",
        "%ff",
        "%",
        "-my_agent",
        "my_agent" + "x" * 200,
        "a" * 100_000,
        ARN.replace("bedrock-agentcore", "s3"),
        ARN.replace("123456789012", "12345678901"),
        ARN.replace("runtime/", "memory/"),
        ARN.replace("runtime/", "runtime//"),
        f"{ARN}/runtime-endpoint/",
        f"{ARN}/runtime-endpoint/DEFAULT/more",
    ],
)
def test_names_nothing(segment: str) -> None:
    """Whatever is no name of an agent is a bad request, and is quoted in part at the most."""
    with pytest.raises(ApiError) as caught:
        agent_of(segment, KNOWN)

    assert (caught.value.status, caught.value.kind) == (400, "ValidationException")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("text", ["nobody", "MY_AGENT", f"{ARN}/runtime-endpoint/prod", "my_agent-short"])
def test_names_no_agent_of_this_host(text: str) -> None:
    """A name of which there is none is not found; nor is another endpoint than DEFAULT."""
    with pytest.raises(ApiError) as caught:
        agent_of(text, KNOWN)

    assert (caught.value.status, caught.value.kind) == (404, "ResourceNotFoundException")


def test_an_agent_of_former_days() -> None:
    """A name that is configured no longer stands for itself where its sessions are looked for."""
    assert agent_or_former("nobody", KNOWN) == "nobody"
    assert agent_or_former("my_agent-AbCdEf1234", KNOWN) == "my_agent"


@given(st.text(max_size=300) | st.from_regex(r"arn(:[a-z0-9-]{0,9}){3,6}(/[%a-zA-Z0-9_.-]{0,20}){0,3}"))
def test_never_raises_anything_else(text: str) -> None:
    """Whatever stands in a path, it is an agent's name or an ApiError."""
    for segment in (text, quote(text, safe="", errors="surrogatepass")):
        with contextlib.suppress(ApiError):
            assert agent_of(segment, KNOWN) in KNOWN


@given(st.text(max_size=300))
def test_routes_never_raise_anything_else(path: str) -> None:
    """Whatever a path is, it belongs to a handler or is an ApiError."""
    routes = Routes()
    routes.add("POST", "/runtimes/{}/invocations", _handler)
    for raw in (path, f"/runtimes/{path}/invocations", f"/runtimes/arn:aws:bedrock-agentcore:::runtime/{path}"):
        with contextlib.suppress(ApiError):
            assert routes.find("POST", raw)[0] is _handler


@pytest.mark.parametrize("end", ["", "/runtime-endpoint/DEFAULT"])
def test_slashes_of_an_arn_that_is_not_encoded(end: str) -> None:
    """An ARN is one segment of the path also when its slashes were sent as they are."""
    routes = Routes()
    routes.add("POST", "/runtimes/{}/invocations", _handler)

    _, segments = routes.find("POST", f"/runtimes/{ARN}{end}/invocations")

    assert [decoded(segment) for segment in segments] == [ARN + end]


def test_a_method_that_nothing_is_asked_with() -> None:
    """A path with another method says which ones it has; GET answers HEAD too."""
    routes = Routes()
    routes.add("GET", "/sessions", _handler)

    assert routes.find("HEAD", "/sessions") == (_handler, ())
    with pytest.raises(ApiError) as caught:
        routes.find("PUT", "/sessions")
    assert (caught.value.status, caught.value.headers) == (405, {"Allow": "GET, HEAD"})


async def _handler(*_: object) -> Response:
    raise NotImplementedError
