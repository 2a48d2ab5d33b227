"""Which headers pass between a client and an agent, both ways (contract sections 1.5 and 2.1). No others do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from multidict import CIMultiDict

from outlast.headers import CUSTOM_PREFIX, TASK_COUNT, TASK_IDS, TRACE_URL, is_forwardable_header
from outlastd.session_host.api_error import invalid

#: Of a request, and how many characters a value has at the most. Session, request and user are told by the host.
_OF_REQUESTS = {
    "content-type": 256,
    "accept": 256,
    "x-amzn-trace-id": 128,
    "traceparent": 128,
    "tracestate": 512,
    "baggage": 8_192,
    "mcp-session-id": 1_024,
    "mcp-protocol-version": 1_024,
    "mcp-method": 1_024,
    "mcp-name": 1_024,
}
#: Of an answer, beside its content type.
_OF_ANSWERS = (
    "Content-Encoding",
    "X-Amzn-Trace-Id",
    "traceparent",
    "tracestate",
    "baggage",
    "Mcp-Session-Id",
    "Mcp-Protocol-Version",
    TASK_IDS,
    TASK_COUNT,
    TRACE_URL,
)
#: What can be the name of a header (RFC 9110, section 5.1).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
#: Characters of any other value.
MAX_VALUE = 4_096
#: What a value may have (RFC 9110, section 5.5): a connection breaks over anything else.
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
#: How headers of ours, of the client's library and of the connection begin, which no configuration lets pass.
_NEVER = ("x-outlast-", "amz-sdk-", "expect")
_CUSTOM = CUSTOM_PREFIX.lower()


def to_agent(headers: Iterable[tuple[str, str]], more: Iterable[str] = ()) -> CIMultiDict[str]:
    """Return, of a request's headers, those that reach an agent; ``more`` names what its configuration lets through.

    Raises:
        ApiError: the value of one of them is too long.
    """
    extra = {name.lower() for name in more}
    passed: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        limit = _limit(name.lower(), extra)
        if limit is None:
            continue
        if len(value) > limit:
            raise invalid(f"{name} has {len(value):,} characters, over the limit of {limit:,}")
        passed.add(name, value)
    passed["Accept-Encoding"] = "identity"
    return passed


def to_client(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return, of the headers of an agent's answer, those that reach the client."""
    return CIMultiDict((name, value) for name in _OF_ANSWERS if (value := passable(headers, name)) is not None)


def passable(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a header of an agent's answer; None where there is none that can be sent."""
    value = headers.get(name)
    return value if value is not None and HEADER_VALUE.fullmatch(value) else None


def may_pass(name: str) -> bool:
    """Tell whether a configuration may let a request header, in any case, through to an agent."""
    return is_forwardable_header(name) and not name.lower().startswith(_NEVER)


def is_custom(name: str) -> bool:
    """Tell whether a header, or what a WebSocket has in its query instead of one, is the caller's own."""
    return name.lower().startswith(_CUSTOM)


def _limit(name: str, extra: set[str]) -> int | None:
    """Return how long a value may be; None for a header that does not pass. The name is in lower case."""
    if name in _OF_REQUESTS:
        return _OF_REQUESTS[name]
    if name.startswith(_CUSTOM):
        return MAX_VALUE
    if name in extra and may_pass(name):
        return MAX_VALUE
    return None
