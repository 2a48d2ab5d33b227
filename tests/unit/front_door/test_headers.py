"""Which headers may reach agent code."""

from __future__ import annotations

import pytest

from outlast.headers import RESTRICTED_HEADERS, credentials, forwarded_headers, is_forwardable_header


@pytest.mark.parametrize(
    ("name", "forwardable"),
    [
        ("Cookie", False),
        ("HOST", False),
        (":path", False),
        ("X-Own", True),
        ("traceparent", True),
        ("X-Amz-Date", False),
        ("X-Amz-Bedrock-AgentCore-Identity-WAT", True),
        ("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", False),
        ("X-Amzn-Bedrock-AgentCore-Runtime-Custom-Own", True),
    ],
)
def test_headers_are_forwarded_by_the_allow_list_rules(name: str, forwardable: bool) -> None:
    """The rules of contract section 1.5, in any case."""
    assert is_forwardable_header(name) is forwardable


def test_the_restricted_headers_are_the_contracts() -> None:
    """There are 108, in lower case."""
    assert len(RESTRICTED_HEADERS) == 108
    assert all(name == name.lower() for name in RESTRICTED_HEADERS)


def test_the_workload_access_token_does_not_reach_agent_code() -> None:
    """It is a credential with a getter of its own; the original leaks it, though its rule is the same."""
    headers = {"WorkloadAccessToken": "wat", "authorization": "Bearer b", "Cookie": "c", "x-own": "1"}

    assert is_forwardable_header("WorkloadAccessToken")
    assert forwarded_headers(headers.items()) == {"Authorization": "Bearer b", "x-own": "1"}
    assert forwarded_headers([("workloadaccesstoken", "wat")]) is None
    assert credentials(headers) == {"WorkloadAccessToken": "wat"}
