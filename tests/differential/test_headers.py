"""What of a request's headers reaches agent code, and as what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings

from .exchange import REQUEST_ID, SESSION_ID, Header, post
from .pair import Pair
from .strategies import HEADER_VALUES, HEADERS, IDS, STEADY

CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-"
TOKEN = "X-Amz-Bedrock-AgentCore-Identity-WAT"
BUNDLE = "aws.agentcore.configbundle_arn=arn:aws:bedrock-agentcore:us-west-2:123456789012:configuration-bundle/b-1"
VERSION = "aws.agentcore.configbundle_version=v1"
EXPERIMENT = "aws.agentcore.gateway.routing_experiment_arn=arn:experiment"
VARIANT = "aws.agentcore.gateway.routing_experiment_variant_name=blue"

CASES: dict[str, Sequence[Header]] = {
    "none": [],
    "session": [(SESSION_ID, "s" * 33)],
    "session, lower case": [(SESSION_ID.lower(), "s" * 33)],
    "session, upper case": [(SESSION_ID.upper(), "s" * 33)],
    "session, short": [(SESSION_ID, "s")],
    "session, twice": [(SESSION_ID, "one"), (SESSION_ID, "two")],
    "session with spaces": [(SESSION_ID, "a b  c")],
    "request id": [(REQUEST_ID, "the-request")],
    "request id twice": [(REQUEST_ID, "one"), (REQUEST_ID, "two")],
    "request id with quotes": [(REQUEST_ID, 'a"b\\c')],
    "authorization": [("Authorization", "Bearer abc")],
    "authorization, lower case": [("authorization", "Bearer abc")],
    "authorization, odd case": [("AUTHorization", "Bearer abc")],
    "authorization twice": [("Authorization", "one"), ("authorization", "two")],
    "custom": [(CUSTOM + "Tenant", "t"), (CUSTOM.lower() + "other", "o")],
    "custom, nothing behind": [(CUSTOM, "x")],
    "amzn": [("X-Amzn-Trace-Id", "Root=1"), ("X-Amzn-Anything", "a"), ("X-Amz-Date", "b")],
    "restricted": [
        ("Accept", "a"), ("Cookie", "a=b"), ("User-Agent", "u"), ("X-Forwarded-For", "1.2.3.4"), ("Via", "v"),
        ("Cache-Control", "no-cache"), ("Referer", "r"), ("X-Real-IP", "1.2.3.4"), ("Date", "now"), ("From", "me"),
    ],
    "own": [("X-Api-Key", "k"), ("x-own", "o"), ("Traceparent", "tp"), ("Priority", "u=1"), ("DNT", "1")],
    "own twice": [("X-Own", "one"), ("x-own", "two")],
    "own, empty": [("X-Own", "")],
    "own, commas": [("X-Own", "a, b,c")],
    "user": [("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", "u")],
    "token, new": [(TOKEN, "wat")],
    "token, new, odd case": [(TOKEN.upper(), "wat")],
    "callback": [("OAuth2CallbackUrl", "http://localhost:8081/oauth2/callback")],
    "mcp": [("Mcp-Session-Id", "m"), ("Mcp-Protocol-Version", "2025-06-18")],
    "baggage": [("baggage", "a=b,c=d;property")],
    "baggage, experiment": [("baggage", f"{EXPERIMENT},{VARIANT}")],
    "baggage, experiment arn only": [("baggage", EXPERIMENT)],
    "baggage, encoded": [("baggage", "aws.agentcore.gateway.routing_experiment_arn=a%20b%C3%BC%ff")],
    "baggage, experiment twice": [("baggage", f"{EXPERIMENT},{EXPERIMENT}2")],
    "baggage, header twice": [("baggage", EXPERIMENT), ("baggage", VARIANT)],
    "baggage, bundle": [("baggage", f"{BUNDLE},{VERSION}")],
    "baggage, bundle without version": [("baggage", BUNDLE)],
    "baggage, version only": [("baggage", VERSION)],
    "baggage, bundle that is none": [("baggage", f"aws.agentcore.configbundle_arn=nonsense,{VERSION}")],
    "baggage, spaces": [("baggage", f" {EXPERIMENT} ; p=1 , {VARIANT} ")],
    "baggage, broken": [("baggage", "===,;;,a,=b,%%%=%")],
    "baggage, empty": [("baggage", "")],
    "baggage, long": [("baggage", ",".join(f"k{number}=v" for number in range(300)))],
}  # fmt: skip


@pytest.fixture(scope="module")
def pair(serve: Callable[..., Pair]) -> Pair:
    """Serve what is seen of a request."""
    return serve("echo.py")


@pytest.mark.parametrize("how", ["here", "task", "thread"])
@pytest.mark.parametrize("headers", CASES.values(), ids=CASES)
def test_headers(pair: Pair, headers: Sequence[Header], how: str) -> None:
    """These headers reach the handler, and what it starts, as the same values."""
    pair.same(post({"how": how}, headers))


@pytest.mark.parametrize("headers", CASES.values(), ids=CASES)
def test_headers_of_the_request_itself(pair: Pair, headers: Sequence[Header]) -> None:
    """``context.request`` shows these headers alike, those that are kept from agent code among them."""
    pair.same(post({"how": "request"}, headers))


def test_the_request_itself(pair: Pair) -> None:
    """``context.request`` has the interface of Starlette's for what handlers look at."""
    headers = [("X-One", "1"), ("X-Twice", "a"), ("X-Twice", "b"), ("Cookie", "a=1; b=2")]
    asked = post({"how": "request"}, headers)
    for target in ("/invocations", "/invocations?a=b&a=c&d=", "/invocations?%C3%BC=%20+"):
        pair.same(type(asked)(asked.method, target, asked.headers, asked.body))
    pair.same(post({"how": "body", "a": "ü"}))


def test_an_id_for_a_request_without_one(pair: Pair) -> None:
    """A request without an id gets one of its own, a random UUID, which its lines have too."""
    for peer in pair.peers:
        first, second = peer.see(post({})), peer.see(post({}, [(REQUEST_ID, "")]))

        ids = [seen.answer.json["context"]["request_id"] for seen in (first, second)]
        assert ids == [seen.lines[0]["requestId"] for seen in (first, second)]
        assert ids[0] != ids[1]
        assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i) for i in ids)


@given(headers=HEADERS)
@settings(STEADY, max_examples=150)
def test_any_headers(pair: Pair, headers: list[Header]) -> None:
    """Whatever ASCII headers a request brings, the handler sees the same of them."""
    pair.same(post({}, headers))


@given(session=IDS, request=IDS, token=HEADER_VALUES, baggage=HEADER_VALUES)
@settings(STEADY, max_examples=100)
def test_any_values(pair: Pair, session: str, request: str, token: str, baggage: str) -> None:
    """Whatever stands in the headers that outlast reads itself, they are read alike."""
    pair.same(post({}, [(SESSION_ID, session), (REQUEST_ID, request), (TOKEN, token), ("baggage", baggage)]))


def test_an_empty_session(pair: Pair) -> None:
    """A difference: an empty session id is none, and not a session without a name that many callers would share."""
    original, ours = pair.see(post({}, [(SESSION_ID, "")]))

    assert original.answer.json["session"] == ""
    assert ours.answer.json["session"] is None


@pytest.mark.parametrize("header", ["Content-Type", "Server", "User-Agent"])
def test_a_header_that_may_stand_once(pair: Pair, header: str) -> None:
    """A difference: a second one is refused, as whoever reads another one than we do would see another request."""
    original, ours = pair.see(post({}, [(header, "text/one"), (header, "text/two")]))

    assert original.answer.status == 200
    assert ours.answer.status == 400
    assert ours.answer.json["error"] == "Bad request"


@pytest.mark.parametrize("header", [SESSION_ID, REQUEST_ID])
def test_an_id_with_a_tab(pair: Pair, header: str) -> None:
    """A difference: an id that is no printable text is refused, since tasks are kept and listed under it."""
    original, ours = pair.see(post({}, [(header, "a\tb")]))

    assert original.answer.status == 200
    assert ours.answer.status == 400
    assert ours.answer.json["error"] == "Invalid header"


def test_the_workload_access_token(pair: Pair) -> None:
    """A difference: the token reaches the identity helpers, and not the headers that agents log and pass on."""
    original, ours = pair.see(post({}, [("WorkloadAccessToken", "secret"), ("X-Own", "o")]))

    assert original.answer.json["headers"] == {"workloadaccesstoken": "secret", "x-own": "o"}
    assert ours.answer.json["headers"] == {"x-own": "o"}
    assert ours.answer.json["context"]["token"] == original.answer.json["context"]["token"] == "secret"
