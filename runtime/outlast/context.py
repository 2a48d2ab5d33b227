"""The request that code runs for: what a handler gets as ``context``, and what follows it onto every thread."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from outlast.baggage import NO_BAGGAGE, Baggage
from outlast.core.task import NO_TRACE, TraceContext
from outlast.core.value import value


@dataclass(frozen=True)
class RequestContext:
    """What a handler with a second parameter named ``context`` is given (contract section 4.1)."""

    #: The caller's conversation; None when the request named none.
    session_id: str | None = None
    #: The request headers that may reach agent code; None when there are none.
    request_headers: dict[str, str] | None = None
    #: The front door's own request value; only its ``headers``, ``method`` and ``path`` are meant for user code.
    request: Any = None


@value(frozen=True, slots=False)
class Invocation:
    """One call of the entrypoint. Bound to the handler's context, so that a task knows where it is from."""

    request_id: str
    session_id: str = ""
    trace_context: TraceContext = NO_TRACE
    #: The headers that identity helpers ask for: workload access token and OAuth2 callback address.
    credentials: Mapping[str, str] = field(default_factory=dict)
    #: The request headers that may reach agent code; None when there are none.
    request_headers: dict[str, str] | None = None
    #: The configuration bundle and the routing experiment that the request names.
    baggage: Baggage = NO_BAGGAGE
    #: The ids of the tasks started so far, in order; appended to from any thread (list.append is atomic).
    task_ids: list[int] = field(default_factory=list)


#: The invocation that the running code belongs to; None outside of one.
current_invocation: ContextVar[Invocation | None] = ContextVar("outlast_invocation", default=None)
