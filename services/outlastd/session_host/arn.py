"""What names an agent in a path: an ARN of AWS's kind, the id at its end, or the name in the configuration."""

from __future__ import annotations

import re
from collections.abc import Container
from urllib.parse import unquote_to_bytes

from outlastd.session_host.api_error import invalid, not_found

#: Characters of a segment of a path, percent-encoded, at the most; an ARN has up to about 250.
MAX_SEGMENT = 2_048
#: What AWS puts behind the name that an agent was given (contract section 2.6).
_SUFFIX = re.compile(r"-[a-zA-Z0-9]{10}")
_ARN = re.compile(
    r"arn:aws(?:-[a-z]+)*:bedrock-agentcore:[a-z0-9-]{1,64}:[0-9]{12}:runtime/(?P<id>[^/]+)"
    r"(?:/runtime-endpoint/(?P<endpoint>[a-zA-Z][a-zA-Z0-9_]{0,47}))?"
)
_ID = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,110}")
#: An ARN up to the slash in it, where somebody has not percent-encoded that.
_UP_TO_SLASH = re.compile(r"arn:[a-z-]+:bedrock-agentcore:[^:/]*:[^:/]*:runtime", re.IGNORECASE)
#: The one endpoint that there is: the newest version of the agent.
ENDPOINT = "DEFAULT"


def agent_of(segment: str, known: Container[str]) -> str:
    """Return which of the ``known`` agents a segment of a path names.

    Raises:
        ApiError: 400 when it can name none, 404 when there is none of that name.
    """
    name = _named(segment)
    found = _find(name, known)
    if found is None:
        raise not_found(f"There is no agent {name}")
    return found


def agent_or_former(segment: str, known: Container[str]) -> str:
    """Return the same, or the name itself: of an agent that is configured no longer there may be sessions.

    Raises:
        ApiError: 400 when it can name none.
    """
    name = _named(segment)
    return _find(name, known) or name


def _named(segment: str) -> str:
    text = decoded(segment)
    match = _ARN.fullmatch(text)
    name = match["id"] if match else text
    if not _ID.fullmatch(name):
        raise invalid(f"agentRuntimeArn: {_shown(text)} is neither the ARN of an agent runtime nor a name of one")
    if match and match["endpoint"] not in (None, ENDPOINT):
        raise not_found(f"There is no endpoint {match['endpoint']}: {ENDPOINT} is the only one")
    return name


def _find(name: str, known: Container[str]) -> str | None:
    if name in known:
        return name
    given = name[:-11]
    return given if _SUFFIX.fullmatch(name[-11:]) and given in known else None


def decoded(segment: str) -> str:
    """Return a segment of a path with its percent-encoding taken off, once. Raises ApiError 400."""
    if len(segment) > MAX_SEGMENT:
        raise invalid(f"A part of the path has {len(segment):,} characters, over the limit of {MAX_SEGMENT:,}")
    try:
        return unquote_to_bytes(segment.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid("A part of the path is no text in UTF-8") from None


def with_whole_arn(path: list[str]) -> list[str]:
    """Return the segments of a path ``/runtimes/ARN/…`` with the ARN in one, where its slashes were not encoded."""
    if path[:1] != ["runtimes"] or len(path) < 3 or not _UP_TO_SLASH.fullmatch(decoded(path[1])):
        return path
    end = 5 if path[3:4] == ["runtime-endpoint"] else 3
    return [path[0], "%2F".join(path[1:end]), *path[end:]]


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 100 else f"{text[:100]}…")
