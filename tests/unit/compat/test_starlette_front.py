"""What programs use of Starlette's application class, on the stand-in for the original's."""

from __future__ import annotations

import asyncio
import sys
import warnings
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.websockets import WebSocket

from outlast.compat.app import BedrockAgentCoreApp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # newer versions want another httpx
    from starlette.testclient import TestClient


class Marks(BaseHTTPMiddleware):
    """Adds a header."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        """Pass the request on."""
        response: Response = await call_next(request)
        response.headers["x-marked"] = "1"
        return response


@pytest.fixture
def app() -> BedrockAgentCoreApp:
    """An app whose entrypoint returns its payload."""
    app = BedrockAgentCoreApp()
    app.entrypoint(lambda payload: payload)
    return app


@pytest.fixture
def without_starlette(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every import of Starlette fail."""
    for name in [name for name in sys.modules if name.split(".")[0] == "starlette"]:
        monkeypatch.setitem(sys.modules, name, None)


def test_a_program_that_adds_nothing_has_nothing_put_before_the_door(app: BedrockAgentCoreApp) -> None:
    """Looking at what Starlette's class has changes nothing of how requests go."""
    app.state.looked_at = app.routes

    assert app.wrap_asgi(_nowhere) is None


def test_the_originals_routes_are_there(app: BedrockAgentCoreApp) -> None:
    """The paths of the contract are among the routes, under the names that the original gives them."""
    assert [route.path for route in app.routes] == ["/invocations", "/ping", "/ws"]
    assert app.url_path_for("_handle_invocation") == "/invocations"
    assert app.router.routes is app.routes


def test_state_is_shared_with_handlers_and_routes(app: BedrockAgentCoreApp) -> None:
    """``app.state`` is one object, for the program, for its handlers and for its own routes."""
    app.state.value = 7

    def handler(payload: Any, context: Any) -> Any:
        return context.request.app.state.value

    async def own(request: Request) -> Response:
        return JSONResponse(request.app.state.value)

    app.entrypoint(handler)
    app.add_route("/own", own)
    client = TestClient(app)

    assert client.post("/invocations", json=1).json() == 7
    assert client.get("/own").json() == 7


def test_middleware_may_be_added_later(app: BedrockAgentCoreApp) -> None:
    """``add_middleware`` puts its class outside of what the constructor was given."""
    order: list[str] = []

    class Noted:
        def __init__(self, app: Any, name: str) -> None:
            self.app, self.name = app, name

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                order.append(self.name)
            await self.app(scope, receive, send)

    app = BedrockAgentCoreApp(middleware=[Middleware(Noted, name="first")])
    app.entrypoint(lambda payload: payload)
    app.add_middleware(Noted, name="later")
    app.add_middleware(Marks)

    answer = TestClient(app).post("/invocations", json={"a": 1})

    assert (answer.json(), answer.headers["x-marked"], order) == ({"a": 1}, "1", ["later", "first"])
    assert [each.cls for each in app.user_middleware] == [Marks, Noted, Noted]


def test_routes_and_mounts_of_the_programs_own(app: BedrockAgentCoreApp) -> None:
    """What the program adds is served beside the original's paths, and what is nowhere is 404."""

    def own(request: Request) -> Response:
        return PlainTextResponse(f"own {request.path_params['name']}")

    app.add_route("/own/{name}", own, methods=["GET"])
    app.mount("/below", Mount("", routes=[Route("/deep", lambda request: PlainTextResponse("deep"))]))
    client = TestClient(app)

    assert client.get("/own/x").text == "own x"
    assert client.post("/own/x").status_code == 405
    assert client.get("/below/deep").text == "deep"
    assert client.get("/ping").json()["status"] == "Healthy"
    assert client.head("/ping").status_code == 200
    assert client.post("/invocations", json=[1]).json() == [1]
    assert client.get("/invocations").status_code == 405
    assert (client.get("/nowhere").status_code, client.get("/nowhere").text) == (404, "Not Found")
    assert client.get("/ping/").json()["status"] == "Healthy"  # redirected, as Starlette does


def test_exception_handlers_answer_for_the_programs_routes(app: BedrockAgentCoreApp) -> None:
    """A handler for a status or a class answers for what routes raise, and for paths that are nowhere."""

    class Own(Exception):
        pass

    async def fail(request: Request) -> Response:
        raise Own

    async def refuse(request: Request) -> Response:
        raise HTTPException(418)

    app.add_route("/fail", fail)
    app.add_route("/refuse", refuse)
    app.add_exception_handler(Own, lambda request, error: PlainTextResponse("own", 409))
    app.add_exception_handler(404, lambda request, error: PlainTextResponse("nothing there", 404))
    client = TestClient(app)

    assert (client.get("/fail").status_code, client.get("/fail").text) == (409, "own")
    assert client.get("/refuse").status_code == 418
    assert client.get("/nowhere").text == "nothing there"


def test_the_agents_websocket_and_the_programs_own(app: BedrockAgentCoreApp) -> None:
    """``/ws`` is the agent's, other paths are the program's, and both pass its middleware."""

    async def agents(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.send_text("agent")
        await websocket.close()

    async def own(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("own")
        await websocket.close()

    app.websocket(agents)
    app.router.add_websocket_route("/own", own)
    app.add_middleware(Marks)
    client = TestClient(app)

    for path, said in (("/ws", "agent"), ("/own", "own")):
        with client.websocket_connect(path) as socket:
            assert socket.receive_text() == said


def test_what_starlette_has_not_either_is_an_attribute_error(app: BedrockAgentCoreApp) -> None:
    """An unknown name is refused as on any object, and so is one that this version of Starlette has not."""
    assert not hasattr(app, "no_such_thing")
    assert not hasattr(app, "__wrapped__")
    with pytest.raises(AttributeError, match="'BedrockAgentCoreApp' object has no attribute 'no_such_thing'"):
        _ = app.no_such_thing


def test_the_app_is_no_starlette_itself(app: BedrockAgentCoreApp) -> None:
    """A difference: it has what Starlette's application has, and is none: outlast does not depend on it."""
    assert not isinstance(app, Starlette)


def test_without_starlette_there_is_state_and_a_hint(app: BedrockAgentCoreApp, without_starlette: None) -> None:
    """Without Starlette a program has its state, and middleware that needs none; for the rest it is told what to do."""
    app.state.value = 1

    class Plain:
        def __init__(self, app: Any) -> None:
            self.app = app

    behind = BedrockAgentCoreApp(middleware=[(Plain, (), {})])

    assert app.state.value == 1
    assert behind.wrap_asgi(_nowhere) is not None
    with pytest.raises(AttributeError, match="pip install starlette"):
        app.add_route("/own", _nowhere)


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
