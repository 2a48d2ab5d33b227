"""Signatures, over requests of any shape."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from outlast.core.errors import StartRefused
from outlastd.front_door.request import Request
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.auth.sigv4 import SigV4
from outlastd.session_host.clock import Clock
from outlastd.session_host.config import KeyConfig

from .asking import StillClock, asking

ACCESS_KEY, SECRET = "AKIDEXAMPLE", "a-secret"
NOTHING = hashlib.sha256(b"").hexdigest()
#: The one that a valid signature covers.
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", SECRET)


def key(name: str = "alice") -> KeyConfig:
    """Return a key's configuration."""
    return KeyConfig(name=name, access_key=ACCESS_KEY, secret_variable="A_SECRET")


def signatures(clock: Clock, secret: str = SECRET) -> SigV4:
    """Return what knows one key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_SECRET", secret)
        return SigV4([key()], "", clock)


def signed(path: str, query: str, headers: dict[str, str], body: bytes) -> tuple[Request, Clock]:
    """Return a request as botocore signs it, and a clock that shows when."""
    request = AWSRequest(
        "POST", f"http://host:80{path}{'?' if query else ''}{query}", {"host": "host", **headers}, body
    )
    SigV4Auth(Credentials(ACCESS_KEY, SECRET), "bedrock-agentcore", "us-west-2").add_auth(request)
    at = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return asking("POST", path, query, list(request.headers.items())), StillClock(at)


def letters(alphabet: str) -> st.SearchStrategy[str]:
    """Make texts of some characters."""
    return st.text(alphabet, min_size=1, max_size=40)


#: What a header may hold; the whitespace around it does not arrive.
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=40).map(str.strip)


@given(
    arn=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda arn: arn not in (".", "..")),
    query=st.dictionaries(letters("abXY-/ é"), st.text(st.characters(codec="utf-8"), max_size=20), max_size=4),
    headers=st.dictionaries(letters("abcdefgh-").map("x-own-{}".format), VALUES, max_size=4),
    body=st.binary(max_size=100),
)
def test_whatever_botocore_signs_is_believed(
    arn: str, query: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    """Any path, query, headers and body; the same request with another secret or body is not."""
    path = f"/runtimes/{quote(arn, safe='-._~')}/invocations"
    request, clock = signed(path, urlencode(query, quote_via=quote), headers, body)
    digest = hashlib.sha256(body).hexdigest()

    assert signatures(clock).read_header(request).prove(digest).name == "key:alice"
    with pytest.raises(ApiError, match="Access denied"):
        signatures(clock, "other").read_header(request).prove(digest)
    with pytest.raises(ApiError, match="Access denied"):
        signatures(clock).read_header(request).prove(hashlib.sha256(body + b"x").hexdigest())


def test_a_hash_of_the_body_among_the_headers_has_to_be_its_hash() -> None:
    """Other SDKs send it, signed."""
    digest = hashlib.sha256(b"body").hexdigest()

    request, clock = signed("/a", "", {"X-Amz-Content-SHA256": digest}, b"body")
    assert signatures(clock).read_header(request).prove(digest).name == "key:alice"
    with pytest.raises(ApiError):
        signatures(clock).read_header(request).prove(NOTHING)
    for unsigned in ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
        request, clock = signed("/a", "", {"X-Amz-Content-SHA256": unsigned}, b"body")
        with pytest.raises(ApiError):
            signatures(clock).read_header(request)


#: A digit, but none of ASCII's.
ARABIC_ZERO = "\u0660"
#: The parts of a signature, right and wrong, and anything at all.
ANYTHING = st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Nd", "Zs"]), max_size=10)
DATES = st.sampled_from(["20261121T065823Z", "20261321T065823Z", "20261121T065823", ARABIC_ZERO * 8 + "T065823Z", ""])
SCOPES = st.sampled_from(
    [
        f"{ACCESS_KEY}/20261121/us-west-2/bedrock-agentcore/aws4_request",
        f"{ACCESS_KEY}/20261121/\udcff/bedrock-agentcore/aws4_request",
        f"{ACCESS_KEY}/20261121//bedrock-agentcore/aws4_request",
        "////",
    ]
)
NAMES = st.sampled_from(["host;x-amz-date", "host", ";", "host;x-a;x-amz-date", ";".join("abcdefgh" * 20)])
VALUE = st.sampled_from(["0" * 64, "a" * 63, "Z" * 64, ARABIC_ZERO * 64])


def broken(scope: str, names: str, value: str, separator: str) -> str:
    """Put an Authorization header together."""
    parts = (f"Credential={scope}", f"SignedHeaders={names}", f"Signature={value}")
    return "AWS4-HMAC-SHA256 " + separator.join(parts)


@given(
    authorization=ANYTHING
    | st.builds(broken, SCOPES | ANYTHING, NAMES | ANYTHING, VALUE | ANYTHING, st.sampled_from([", ", ",", " ", ""])),
    path=ANYTHING.map("/{}".format),
    query=ANYTHING,
    headers=st.lists(
        st.tuples(
            st.sampled_from(["Host", "X-Amz-Date", "x-amz-date", "X-A", SESSION, "X-Amz-Content-SHA256", "Upgrade"]),
            DATES | ANYTHING,
        ),
        max_size=6,
    ),
)
def test_whatever_is_sent_instead_of_a_signature_is_denied(
    authorization: str, path: str, query: str, headers: list[tuple[str, str]]
) -> None:
    """With 403 and nothing else, whichever part of it is wrong, doubled, or no text."""
    request = asking("POST", path, query, [("Authorization", authorization), *headers])

    with pytest.raises(ApiError) as refusal:
        signatures(StillClock()).read_header(request).prove(NOTHING)

    assert (refusal.value.status, refusal.value.message) == (403, "Access denied")


@given(
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "X-Amz-Algorithm": st.just("AWS4-HMAC-SHA256") | ANYTHING,
            "X-Amz-Credential": SCOPES | ANYTHING,
            "X-Amz-Date": DATES | ANYTHING,
            "X-Amz-Expires": st.sampled_from(["300", "0", "-1", "301", "1e2", ARABIC_ZERO, "9" * 5000]) | ANYTHING,
            "X-Amz-SignedHeaders": NAMES | ANYTHING,
            "X-Amz-Signature": VALUE | ANYTHING,
        },
    ),
    rest=ANYTHING,
)
def test_whatever_is_sent_instead_of_a_presigned_url_is_denied(parameters: dict[str, str], rest: str) -> None:
    """As above."""
    query = urlencode(parameters, errors="replace") + rest
    request = asking("GET", "/runtimes/a/ws", query, [("Host", "h"), ("Upgrade", "websocket")])

    with pytest.raises(ApiError) as refusal:
        signatures(StillClock()).read_query(request).prove(NOTHING)

    assert (refusal.value.status, refusal.value.message) == (403, "Access denied")


def test_a_secret_is_never_shown() -> None:
    """Neither by the keys, nor by a claim that holds one."""
    request, clock = signed("/a", "", {}, b"")
    known = signatures(clock)
    claim = known.read_header(request)

    assert SECRET not in repr(known.__dict__) + repr(claim)


def test_keys_that_cannot_be_used_refuse_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the key."""
    with pytest.raises(StartRefused, match="AKIDEXAMPLE is there twice"):
        SigV4([key(), key("bob")], "", StillClock())
    monkeypatch.delenv("A_SECRET")
    with pytest.raises(StartRefused, match="'alice': the variable A_SECRET is not set"):
        SigV4([key()], "", StillClock())
