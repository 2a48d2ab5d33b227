"""An App as an ASGI application: ``uvicorn agent:app``, a test client, an application that mounts it.

The server's loop runs the program's lifespan and middleware, as everybody expects of it; the services have a loop and a
thread of their own, and handlers run where they always do.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from outlast.core.errors import StartRefused
from outlastd.front_door.asgi import AsgiEndpoint, Guarded
from outlastd.front_door.asgi_types import ASGIApp, Receive, Scope, Send
from outlastd.front_door.door import Door
from outlastd.front_door.measured import measured
from outlastd.launch.lifespan import lifespan_of
from outlastd.launch.services_thread import ServicesThread
from outlastd.launch.unrecorded import open_unrecorded_door

if TYPE_CHECKING:
    from outlast.app import App

T = TypeVar("T")


class AsgiAgent:
    """One App behind an ASGI server. Its services start with the server's lifespan, else with the first request."""

    def __init__(self, app: App, program: Path | None) -> None:
        """``program`` is the file that the app is defined in: agent and store are named after it."""
        self._app = app
        self._program = program
        self._lock = threading.Lock()
        self._services: ServicesThread | None = None
        self._unrecorded: Future[tuple[Door, asyncio.AbstractEventLoop]] | None = None
        #: What requests go to, for the services that it was made for.
        self._entry: tuple[Door, ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a WebSocket connection or the server's lifespan."""
        scope["app"] = self._app
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        entry = self._entry_of(*await _wait_for(self._door(scope)))
        await entry(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        services = self._start()
        try:
            await _wait_for(services.door)
            lifespan = lifespan_of(self._app)
            state = None if lifespan is None else await lifespan.__aenter__()
        except BaseException as error:
            await asyncio.to_thread(services.join)
            told = f"outlast: {error}" if isinstance(error, StartRefused) else traceback.format_exc()
            await send({"type": "lifespan.startup.failed", "message": told})
            raise
        scope.setdefault("state", {}).update(state or {})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            services.ask_to_stop()
            await _wait_for(services.lifespan.may_end)
            if lifespan is not None:
                await lifespan.__aexit__(None, None, None)
        except BaseException:
            await send({"type": "lifespan.shutdown.failed", "message": traceback.format_exc()})
            raise
        finally:
            services.lifespan.left.set_result(None)
            await _wait_for(services.ended)
        await send({"type": "lifespan.shutdown.complete"})

    def _door(self, scope: Scope) -> Future[tuple[Door, asyncio.AbstractEventLoop]]:
        """Return the door of the running services; start them where the server has no lifespan."""
        services = self._services
        if services is not None and not services.ended.done():
            return services.door
        if not _is_test_client(scope):
            return self._start().door
        with self._lock:
            if self._unrecorded is None:
                self._unrecorded = open_unrecorded_door(self._app)
            return self._unrecorded

    def _start(self) -> ServicesThread:
        with self._lock:
            if self._services is None or self._services.ended.done():
                self._services = ServicesThread(self._app, self._program)
                self._services.start()
            return self._services

    def _entry_of(self, door: Door, loop: asyncio.AbstractEventLoop) -> ASGIApp:
        if self._entry is None or self._entry[0] is not door:
            entry: ASGIApp = AsgiEndpoint(measured(door, door.route_of), loop)
            wrapped = self._app.wrap_asgi(entry)
            if wrapped is not None:
                entry = Guarded(door.guard.check, wrapped)
            self._entry = (door, entry if door.lock is None else Guarded(door.lock.open, entry))
        return self._entry[1]


def _is_test_client(scope: Scope) -> bool:
    """Tell whether Starlette's TestClient asks, without a ``with`` (with one, it has a lifespan).

    A unit test wants an answer and no database; any real server gets what it needs to keep the promises.
    """
    client = scope.get("client")
    return "http.response.debug" in scope.get("extensions", {}) or (client is not None and client[0] == "testclient")


async def _wait_for(future: Future[T]) -> T:
    """Wait for a future that others wait for too: a cancel here is none there."""
    return await asyncio.shield(asyncio.wrap_future(future))
