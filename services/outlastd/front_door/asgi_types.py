"""The names of what ASGI servers and ASGI applications pass to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

#: What a connection is: its type, path, headers.
Scope = MutableMapping[str, Any]
#: One event, named by its ``type``.
Message = MutableMapping[str, Any]
#: Waits for the next event from the client.
Receive = Callable[[], Awaitable[Message]]
#: Gives one event to the client, and returns when there is room for the next.
Send = Callable[[Message], Awaitable[None]]
#: An application, or the middleware around one.
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
