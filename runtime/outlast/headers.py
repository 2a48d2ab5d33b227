"""The names of the headers that outlast knows, and which of a request's headers may reach agent code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

SESSION_ID = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_ID = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
USER_ID = "X-Amzn-Bedrock-AgentCore-Runtime-User-Id"
#: The workload access token, under its newer name (which wins) and its older one.
IDENTITY_TOKEN = "X-Amz-Bedrock-AgentCore-Identity-WAT"
WORKLOAD_ACCESS_TOKEN = "WorkloadAccessToken"
OAUTH2_CALLBACK_URL = "OAuth2CallbackUrl"
AUTHORIZATION = "Authorization"
#: What a session host shows to the process of a session, and nobody else knows (OUTLAST_FRONT_DOOR_SECRET).
SECRET = "X-Outlast-Secret"
#: In an answer: the ids of the tasks that the invocation started, separated by commas.
TASK_IDS = "X-Outlast-Task-Ids"
#: How many there are, where the header would be too long with all of them.
TASK_COUNT = "X-Outlast-Task-Count"
#: In an answer: where its trace is looked at.
TRACE_URL = "X-Outlast-Trace-Url"

#: Headers that start so, in any case, are the caller's own and reach agent code, though ``x-amzn-`` ones do not.
CUSTOM_PREFIX = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-"

#: Names that never reach agent code, sorted (the runtime's header allow-list rules, contract section 1.5).
RESTRICTED_HEADERS: frozenset[str] = frozenset(
    """
    :authority :method :path :scheme :status
    accept accept-ch accept-ch-lifetime accept-charset accept-encoding accept-language accept-ranges
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age
    access-control-request-headers access-control-request-method
    cache-control cf-connecting-ip cf-ray clear-site-data connection
    content-encoding content-language content-length content-location content-range
    content-security-policy content-security-policy-report-only content-type cookie
    cross-origin-embedder-policy cross-origin-opener-policy cross-origin-resource-policy
    date downlink dpr ect etag expect-ct expires feature-policy forwarded from host
    if-match if-modified-since if-none-match if-range if-unmodified-since
    keep-alive last-modified link location origin permissions-policy pragma
    proxy-authorization proxy-connection public-key-pins public-key-pins-report-only
    range referer referrer-policy retry-after rtt save-data
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version
    server set-cookie strict-transport-security te trailer transfer-encoding true-client-ip
    upgrade user-agent vary via viewport-width width www-authenticate
    x-amz-cf-id x-cache x-client-ip x-cluster-client-ip x-content-type-options x-csrf-token
    x-forwarded-for x-forwarded-host x-forwarded-proto x-frame-options
    x-original-host x-original-url x-originating-ip x-real-ip x-requested-with x-rewrite-url
    x-served-by x-source-ip x-xss-protection
    """.split()  # noqa: SIM905 (a hundred quoted names are harder to read)
)

_IDENTITY_TOKEN = IDENTITY_TOKEN.lower()
_CUSTOM_PREFIX = CUSTOM_PREFIX.lower()


def is_forwardable_header(name: str) -> bool:
    """Tell whether a request header, in any case, may reach agent code."""
    name = name.lower()
    if name in RESTRICTED_HEADERS:
        return False
    if name.startswith("x-amz-"):
        return name == _IDENTITY_TOKEN
    return not name.startswith("x-amzn-") or name.startswith(_CUSTOM_PREFIX)


def forwarded_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """Return, of a request's headers, those that may reach agent code; None for none.

    ``Authorization`` is spelled so, however the client does; the workload access token is left out, though the rule
    would let it pass: it is a credential, and has a getter of its own.
    """
    return {shown: value for name, value in headers if (shown := _shown(name))} or None


def credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """Return, of a request's headers, those that identity helpers ask for; what is not there is left out."""
    return {name: value for name in _CREDENTIALS if (value := headers.get(name))}


_CREDENTIALS = (IDENTITY_TOKEN, WORKLOAD_ACCESS_TOKEN, OAUTH2_CALLBACK_URL)
_AS_SHOWN = {AUTHORIZATION.lower(): AUTHORIZATION}
_WORKLOAD_ACCESS_TOKEN = WORKLOAD_ACCESS_TOKEN.lower()


@lru_cache(maxsize=1024)  # the same few names come with every request; the bound is for a client that makes names up
def _shown(name: str) -> str:
    """Return how agent code is shown a header's name; empty for one that it is not shown."""
    if name.lower() == _WORKLOAD_ACCESS_TOKEN or not is_forwardable_header(name):
        return ""
    return _AS_SHOWN.get(name.lower(), name)
