"""Which headers pass between a client and an agent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlastd.session_host.api_error import ApiError
from outlastd.session_host.forwarding import passable, to_agent, to_client

PASSED = {
    "Content-Type": "text/csv",
    "Accept": "text/event-stream",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=b",
    "baggage": "k=v",
    "X-Amzn-Trace-Id": "Root=1",
    "Mcp-Session-Id": "m",
    "Mcp-Protocol-Version": "1",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "n",
    "x-amzn-bedrock-agentcore-runtime-custom-Color": "blue",
}
HELD = {
    "Authorization": "Bearer secret",
    "Cookie": "a=b",
    "Host": "localhost",
    "Connection": "close",
    "Transfer-Encoding": "chunked",
    "Content-Length": "7",
    "Expect": "100-continue",
    "X-Amz-Date": "today",
    "X-Amz-Security-Token": "secret",
    "amz-sdk-invocation-id": "1",
    "X-Outlast-Secret": "guess",
    "X-Forwarded-For": "10.0.0.1",
    "WorkloadAccessToken": "secret",
    "X-Amz-Bedrock-AgentCore-Identity-WAT": "secret",
    "OAuth2CallbackUrl": "https://example.com",
    "X-Amzn-Bedrock-AgentCore-Runtime-User-Id": "somebody",
    "User-Agent": "curl",
    "X-Api-Key": "secret",
}


def test_what_reaches_an_agent() -> None:
    """The headers of the contract reach an agent, in any case; no others do, and no compressed answer is asked for."""
    passed = to_agent((PASSED | HELD).items())

    assert dict(passed) == PASSED | {"Accept-Encoding": "identity"}


def test_what_a_configuration_lets_through() -> None:
    """An agent's configuration lets more through, but nothing that belongs to the connection or to the host."""
    more = to_agent(HELD.items(), [name.upper() for name in HELD])

    assert set(more) - {"Accept-Encoding"} == {
        "Authorization",
        "WorkloadAccessToken",
        "X-Amz-Bedrock-AgentCore-Identity-WAT",
        "OAuth2CallbackUrl",
        "X-Api-Key",
    }


@pytest.mark.parametrize(("name", "limit"), [("traceparent", 128), ("baggage", 8192), ("Accept", 256)])
def test_a_value_that_is_too_long(name: str, limit: int) -> None:
    """A value over the contract's limit is refused, with the name and the limit."""
    assert to_agent([(name, "x" * limit)])[name] == "x" * limit
    with pytest.raises(ApiError, match=f"{name} has .* limit of {limit:,}"):
        to_agent([(name, "x" * (limit + 1))])


def test_what_reaches_a_client() -> None:
    """Of an answer's headers the contract's and ours reach a client, and nothing of the connection."""
    answered = {
        "Mcp-Session-Id": "m",
        "traceparent": "t",
        "X-Outlast-Task-Ids": "1,2",
        "X-Outlast-Task-Count": "2",
        "X-Outlast-Trace-Url": "http://jaeger/trace/1",
        "Content-Encoding": "gzip",
    }

    assert (
        dict(to_client(answered | {"Set-Cookie": "a=b", "Server": "guest", "Location": "/", "Date": "d"})) == answered
    )


@pytest.mark.parametrize("value", ["a\x01", "\x7f", "a\r\nX-Evil: 1", "\udcff"])
def test_a_value_of_an_agent_that_cannot_be_sent(value: str) -> None:
    """A header of an answer over which the client's connection would break is left out; others pass."""
    assert dict(to_client({"Mcp-Session-Id": value, "traceparent": "t", "baggage": "ä\t"})) == {
        "traceparent": "t",
        "baggage": "ä\t",
    }
    assert passable({"Content-Type": value}, "Content-Type") is None


@given(st.lists(st.tuples(st.text(max_size=50), st.text(max_size=50))))
def test_no_header_of_the_host_passes(headers: list[tuple[str, str]]) -> None:
    """Whatever is sent, no header of the host's own is among what reaches an agent."""
    passed = to_agent(headers, [name for name, _ in headers])

    names = [name.lower() for name in passed]
    assert not [name for name in names if name.startswith(("x-outlast-", "amz-sdk-")) or name in ("cookie", "host")]
