"""Limits and manners of invocations and WebSocket connections."""

from __future__ import annotations

from outlast import limits
from outlast.core.value import value
from outlastd.front_door.sse import KEEPALIVE_SECONDS


@value(frozen=True, slots=True)
class InvocationRules:
    """How invocations are treated. Times are in seconds, sizes in bytes."""

    max_body_bytes: int = limits.MAX_BODY_BYTES
    #: Invocations at a time, streams among them, and as many WebSocket connections; one more is 429.
    max_invocations: int = limits.MAX_INVOCATIONS
    #: How long an answer waits for the tasks that it may speak of to be durable.
    ack_timeout: float = limits.ACK_TIMEOUT
    keepalive: float = KEEPALIVE_SECONDS
    #: Whether a 500 tells the caller what the handler raised, as the contract has it.
    error_detail: bool = True
    #: The one session that is served; empty for any.
    session_id: str = ""
    #: Where traces are looked at, with ``{trace_id}`` in it; empty for nowhere.
    trace_url: str = ""
