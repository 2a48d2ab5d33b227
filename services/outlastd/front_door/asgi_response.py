"""Our responses as the events that an ASGI server sends: those of HTTP, and those that refuse a WebSocket."""

from __future__ import annotations

from outlastd.front_door.asgi_types import Message, Send
from outlastd.front_door.raw_headers import raw_headers
from outlastd.front_door.response import BODILESS, Response

#: What the types of the events begin with.
HTTP = "http.response"
WEBSOCKET_DENIAL = "websocket.http.response"


async def send_whole(response: Response, send: Send, *, events: str = HTTP, head_only: bool = False) -> None:
    """Send a response whose body is all there; ``head_only`` leaves the body out."""
    await send(start_event(response, events))
    await send({"type": f"{events}.body", "body": b"" if head_only else response.body})


def start_event(response: Response, events: str = HTTP) -> Message:
    """Return what comes before the body: status and headers."""
    headers = response.headers
    if response.content_type is not None:
        headers["Content-Type"] = response.content_type
    if isinstance(response.body, bytes) and response.status >= 200 and response.status not in BODILESS:
        headers["Content-Length"] = str(len(response.body))
    return {"type": f"{events}.start", "status": response.status, "headers": raw_headers(headers)}
