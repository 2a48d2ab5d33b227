"""What a handler of the original's gets as ``context``."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import BaseModel, ValidationError
from starlette.requests import Request as StarletteRequest

from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.request_context import RequestContext
from outlastd.front_door.request import Request


async def nothing(limit: int) -> bytes:
    """Give no body."""
    return b""


def make_request(body: bytes) -> Request:
    """Return a request of the front door's whose body has been read."""
    headers = CIMultiDictProxy(CIMultiDict({"X-Own": "1", "Content-Type": "application/json"}))
    request = Request("POST", "/invocations", "a=1", headers, "127.0.0.1", nothing)
    request.body = body
    return request


def test_it_is_a_pydantic_model_of_three_fields() -> None:
    """Programs make one for their tests, by keyword, and dump it."""
    context = RequestContext(session_id="s-1", request=object())

    assert isinstance(context, BaseModel)
    assert list(RequestContext.model_fields) == ["session_id", "request_headers", "request"]
    assert (context.session_id, context.request_headers) == ("s-1", None)
    with pytest.raises(ValidationError):
        RequestContext(session_id=1)  # type: ignore[arg-type]


async def test_the_request_is_starlettes() -> None:
    """Method, URL, headers, state, app and body are there, the body as often as it is asked for."""
    app = BedrockAgentCoreApp()

    request = app.make_context(None, None, make_request(b'{"x": 1}')).request

    assert type(request) is StarletteRequest
    assert (request.method, request.url.path, request.query_params["a"]) == ("POST", "/invocations", "1")
    assert request.headers["x-own"] == "1"
    assert request.app is app
    request.state.user = "u-1"
    assert request.state.user == "u-1"
    assert await request.json() == {"x": 1}
    assert await request.body() == b'{"x": 1}'
    assert not await request.is_disconnected()


def test_what_middleware_left_in_the_scope_is_seen() -> None:
    """``context.request.state`` is that of the scope the request came with."""
    request = make_request(b"")
    request.scope["state"]["user"] = "u-1"

    assert BedrockAgentCoreApp().make_context(None, None, request).request.state.user == "u-1"


def test_a_websocket_is_left_as_it_is() -> None:
    """It is Starlette's already where Starlette is there."""
    websocket = SimpleNamespace(scope={"type": "websocket"})

    assert BedrockAgentCoreApp().make_context("s-1", None, websocket).request is websocket
