"""What a ``/ws`` handler gets and what it may have to catch: Starlette's classes where those are installed, else ours.

``from outlast.websocket import WebSocketDisconnect`` is right in both cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.own_websocket import WebSocket, WebSocketDisconnect, WebSocketState

__all__ = ["WebSocket", "WebSocketDisconnect", "WebSocketState"]


def __getattr__(name: str) -> Any:
    """Return a class, whose module is loaded only when somebody asks for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import starlette.websockets as websockets
    except ImportError:
        from outlast import own_websocket

        return getattr(own_websocket, name)
    return getattr(websockets, name)
