"""Our own WebSocket has the interface of Starlette's, and is taken only where Starlette's is not to be had."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
import starlette.websockets

from outlast import own_websocket, websocket

#: Of Starlette's own world: its sessions, users, routes and responses.
_STARLETTES = {"app", "auth", "base_url", "cookies", "send_denial_response", "session", "url_for", "user"}


def _names(owner: type) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_every_method_is_there() -> None:
    """Whatever a handler calls on Starlette's WebSocket it can call on ours, with the same parameters."""
    ours, theirs = own_websocket.WebSocket, starlette.websockets.WebSocket
    attributes = {"headers", "query_params", "path_params", "client", "state", "scope"}

    missing = _names(theirs) - _names(ours) - attributes - _STARLETTES - {"get", "items", "keys", "values"}

    assert missing == set()
    for name in sorted(_names(ours) & _names(theirs)):
        own, other = getattr(ours, name), getattr(theirs, name)
        if inspect.isfunction(own):
            assert list(inspect.signature(own).parameters) == list(inspect.signature(other).parameters), name
    assert [state.name for state in own_websocket.WebSocketState] == [
        state.name for state in starlette.websockets.WebSocketState
    ]


def test_starlettes_classes_are_taken_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """outlast.websocket gives what handlers get: Starlette's classes, and ours where there is no Starlette."""
    taken = [websocket.WebSocketDisconnect]
    monkeypatch.setitem(sys.modules, "starlette.websockets", None)
    taken.append(websocket.WebSocketDisconnect)

    assert taken == [starlette.websockets.WebSocketDisconnect, own_websocket.WebSocketDisconnect]


def test_no_other_name() -> None:
    """A name that is none is an AttributeError."""
    with pytest.raises(AttributeError, match="has no attribute 'Websocket'"):
        _ = websocket.Websocket


def test_importing_it_loads_no_server() -> None:
    """Neither module loads Starlette or aiohttp."""
    program = "import sys, outlast.websocket, outlast.own_websocket; print({'aiohttp', 'starlette'} & set(sys.modules))"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said == "set()\n"


def test_names_with_several_values() -> None:
    """As with Starlette, the first header and the last query parameter of a name count, and all are to be had."""
    headers = [(b"host", b"agent.example:8080"), (b"x-own", b"one"), (b"x-own", b"two")]
    scope = {"type": "websocket", "scheme": "ws", "path": "/ws", "headers": headers, "query_string": b"a=1&a=2&b"}

    async def never() -> dict[str, object]:
        raise NotImplementedError

    async def nowhere(message: object) -> None:
        raise NotImplementedError

    for make in (own_websocket.WebSocket, starlette.websockets.WebSocket):
        connection: Any = make(dict(scope), never, nowhere)
        assert (connection.headers["x-OWN"], connection.headers.getlist("X-own")) == ("one", ["one", "two"])
        assert (connection.query_params["a"], connection.query_params.get("c")) == ("2", None)
        assert connection.query_params.multi_items() == [("a", "1"), ("a", "2"), ("b", "")]
        assert dict(connection.query_params) == {"a": "2", "b": ""}
        assert (len(connection.query_params), "a" in connection.query_params) == (2, True)
        assert (str(connection.url), connection.url.path) == ("ws://agent.example:8080/ws?a=1&a=2&b", "/ws")
        assert (connection.url.hostname, connection.url.port, connection.url.query) == (
            "agent.example",
            8080,
            "a=1&a=2&b",
        )
        assert (connection.client, connection.path_params) == (None, {})
        connection.state.own = "kept"
        assert connection.state.own == "kept"
