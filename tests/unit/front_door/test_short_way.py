"""Requests that say nothing of their invocation, which are taken a short way."""

from __future__ import annotations

from typing import Any, cast

import pytest
from multidict import CIMultiDict

from outlast import headers
from outlast.baggage import HEADER as BAGGAGE
from outlastd.front_door import call_context
from outlastd.front_door.call_context import begin_invocation
from outlastd.front_door.request import Request

#: Every header that our code has a name for, and some that it has none for.
NAMES = sorted(
    {value for key, value in vars(headers).items() if isinstance(value, str) and not key.startswith("__")}
    | {BAGGAGE, "traceparent", "tracestate", "X-Custom-Thing", "Host", "Accept", "User-Agent"}
)


class _Asked:
    """What of a request is looked at."""

    def __init__(self, given: dict[str, str]) -> None:
        self.headers = CIMultiDict(given)


@pytest.mark.parametrize("own_session", ["", "session-1"])
@pytest.mark.parametrize("name", NAMES)
def test_no_header_is_missed(monkeypatch: pytest.MonkeyPatch, name: str, own_session: str) -> None:
    """Whichever header a request has, the invocation is the one that reading all of them makes."""
    monkeypatch.setattr(call_context, "_new_id", lambda: "made")
    request = cast(Request, cast(Any, _Asked({name: "session-1"})))

    invocation, span = begin_invocation(request, own_session)
    read, read_span = call_context._begin(request, own_session, "POST", "/invocations")

    assert (invocation, span.trace_context) == (read, read_span.trace_context)
