"""What the original's application inherits from Starlette: routes, middleware, exception handlers and state of its own.

A real Starlette application, made when the program first asks for one of these, stands before the front door then; a
program that never asks needs no Starlette.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from outlast import request_state

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from outlast.app import App

    _Host = App
else:
    _Host = object

#: What programs use of Starlette's class. Which of it there is depends on the version that is installed.
INHERITED = frozenset(
    {
        "add_event_handler",
        "add_exception_handler",
        "add_middleware",
        "add_route",
        "add_websocket_route",
        "build_middleware_stack",
        "exception_handler",
        "exception_handlers",
        "host",
        "middleware_stack",
        "mount",
        "on_event",
        "route",
        "router",
        "routes",
        "url_path_for",
        "user_middleware",
        "websocket_route",
    }
)

#: The key of a scope under which it carries the front door to the innermost route.
_ENDPOINT = "outlast.endpoint"
#: What the front door serves beside the original's paths.
_OWN_PATH = "/tasks"

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Receive, Send], Awaitable[None]]


class StarletteFront:
    """The Starlette application of one App."""

    def __init__(self, app: App, state: object) -> None:
        """Raises ImportError where Starlette is not installed."""
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute

        class DoorRoute(Route):
            async def handle(self, scope: Any, receive: Receive, send: Send) -> None:
                # The door answers the preflights of origins that may talk to it.
                handle = self.app if scope["method"] == "OPTIONS" else super().handle
                await handle(scope, receive, send)

        self._app = app
        door = _ToDoor()
        # Named as the original's, for url_path_for.
        self._own_routes = [
            DoorRoute("/invocations", door, methods=["POST"], name="_handle_invocation"),
            DoorRoute("/ping", door, methods=["GET"], name="_handle_ping"),
            WebSocketRoute("/ws", door, name="_handle_websocket"),
        ]
        self.starlette: Starlette = Starlette(routes=self._own_routes, middleware=app.middleware)
        self.starlette.state = state  # type: ignore[assignment]
        self._not_found = self.starlette.router.default
        self.starlette.router.default = self._default

    @property
    def in_use(self) -> bool:
        """Whether the program has added something that requests must pass."""
        starlette = self.starlette
        return bool(starlette.user_middleware or starlette.exception_handlers) or starlette.routes != self._own_routes

    def wrap(self, endpoint: ASGIApp) -> ASGIApp:
        """Return the front door, ``endpoint``, behind what the program has added."""
        starlette = self.starlette
        starlette.debug = self._app.debug
        if starlette.middleware_stack is None:
            starlette.middleware_stack = starlette.build_middleware_stack()
        stack = starlette.middleware_stack

        async def behind_starlette(scope: Any, receive: Receive, send: Send) -> None:
            scope["app"] = self._app
            scope[_ENDPOINT] = endpoint
            await stack(scope, receive, send)

        return behind_starlette

    async def _default(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve what no route matches: paths of the front door's own, and what is nowhere."""
        path = scope["path"]
        serve = scope[_ENDPOINT] if path == _OWN_PATH or path.startswith(f"{_OWN_PATH}/") else self._not_found
        await serve(scope, receive, send)


class _ToDoor:
    """The innermost of the original's routes. An object, since Starlette calls functions with a Request."""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass on to the front door."""
        await scope[_ENDPOINT](scope, receive, send)


class InheritsStarlette(_Host):
    """Gives a class of Apps what Starlette's class has; mix it in before App."""

    _front: StarletteFront | None = None

    def __getattr__(self, name: str) -> Any:
        # Called for what is neither an attribute nor a method of ours.
        if name == "state":
            self.state = state = _make_state()
            return state
        if name not in INHERITED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        try:
            front = self._starlette_front()
        except ImportError as error:
            raise AttributeError(f"app.{name} is Starlette's, which is not installed: pip install starlette") from error
        return getattr(front.starlette, name)

    def wrap_asgi(self, endpoint: ASGIApp) -> ASGIApp | None:
        """Return ``endpoint`` behind the program's middleware, routes and exception handlers; None when it has none."""
        if not self.middleware and self._front is None:
            return None
        try:
            front = self._starlette_front()
        except ImportError:  # middleware that needs none of Starlette's
            return super().wrap_asgi(endpoint)
        return front.wrap(endpoint) if front.in_use else None

    def _starlette_front(self) -> StarletteFront:
        if self._front is None:
            self._front = StarletteFront(self, self.state)
        return self._front


def _make_state() -> Any:
    try:
        from starlette.datastructures import State
    except ImportError:
        return request_state.State({})
    return State()
