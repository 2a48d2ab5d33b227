"""Refuses a WebSocket before it is one, in ASGI's events."""

from __future__ import annotations

from outlastd.front_door.asgi_response import WEBSOCKET_DENIAL, send_whole
from outlastd.front_door.asgi_types import Scope, Send
from outlastd.front_door.request import Refusal
from outlastd.front_door.response import refusal_response

#: What a scope's ``extensions`` name where the server can refuse with a response of ours.
EXTENSION = WEBSOCKET_DENIAL
#: Close code for what the server's own rules forbid; nobody sees it, since servers make a 403 of a close this early.
POLICY_VIOLATION = 1008


async def deny(refusal: Refusal, scope: Scope, send: Send) -> None:
    """Send the response to a refused request; where the server knows of none, a close, which it makes a 403."""
    if EXTENSION not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
        return
    await send_whole(refusal_response(refusal), send, events=WEBSOCKET_DENIAL)
