"""Requests are measured by OpenTelemetry's names, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from outlastd.front_door.rules import InvocationRules

from ...metered import Series, metered
from .conftest import Agent, Connect, Open
from .test_streams import POST_TRUE

DURATION, ACTIVE = "http.server.request.duration", "http.server.active_requests"
PATIENCE = 20.0


def request_series(method: str, route: str = "", status: int = 0, *, error: str = "", scheme: str = "http") -> Series:
    """Return the series of some requests."""
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "url.scheme": scheme,
        "http.response.status_code": str(status or ""),
        "error.type": error,
    }
    return tuple(sorted((name, value) for name, value in attributes.items() if value))


async def test_requests(agent: Agent, open_door: Open) -> None:
    """Each is counted by method, route and status, with the class of what is our fault; ids and odd words are not."""
    agent.entrypoint_handler = lambda payload: {"n": 1 // payload}
    with metered() as figures:
        client = await open_door(secret="", rules=InvocationRules(error_detail=True))
        await client.invoke(1)
        await client.invoke(1)
        await client.invoke(0)
        await client.get("/ping")
        await client.get("/tasks/12345")
        await client.get("/nowhere/12345")
        await client.ask("PROPFIND", "/ping")

        assert set(figures.values(ACTIVE).values()) == {0}
        counted = figures.values(DURATION)

    assert counted == {
        request_series("POST", "/invocations", 200): 2,
        request_series("POST", "/invocations", 500, error="500"): 1,
        request_series("GET", "/ping", 200): 1,
        request_series("GET", "/tasks/{}", 404): 1,
        request_series("GET", status=404): 1,
        request_series("_OTHER", "/ping", 405): 1,
    }


async def test_refusals(agent: Agent, open_door: Open) -> None:
    """What the lock and a full agent refuse is counted too."""
    with metered() as figures:
        locked = await open_door(secret="a secret")
        await locked.get("/ping")
        full = await open_door(rules=InvocationRules(max_invocations=0))
        await full.invoke(1)

        counted = figures.values(DURATION)

    assert [dict(series)["http.response.status_code"] for series in counted] == ["403", "429"]


async def test_stream(agent: Agent, open_door: Open, connect: Connect) -> None:
    """A stream is under way up to its end, and takes as long; that its client has left is the class of its error."""
    go_on, here = asyncio.Event(), asyncio.get_running_loop()

    async def stream(payload: Any) -> AsyncIterator[Any]:
        yield 1
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(go_on.wait(), here))
        yield 2

    agent.entrypoint_handler = stream
    under_way = request_series("POST", "/invocations")
    with metered() as figures:
        client = await open_door()
        async with client.session.post(f"{client.url}/invocations", data=b"true") as answer:
            await answer.content.readline()
            assert figures.values(ACTIVE) == {under_way: 1}
            assert not figures.values(DURATION)
            go_on.set()
            await answer.read()
        assert figures.values(ACTIVE) == {under_way: 0}
        assert figures.values(DURATION) == {request_series("POST", "/invocations", 200): 1}

        go_on.clear()
        leaving = await connect(client, POST_TRUE)
        await leaving.reader.readuntil(b"data: 1")
        await leaving.leave()
        async with asyncio.timeout(PATIENCE):
            while figures.values(ACTIVE)[under_way]:
                await client.get("/ping")
        go_on.set()

        assert figures.values(DURATION)[request_series("POST", "/invocations", 200, error="CancelledError")] == 1


async def test_websocket(agent: Agent, open_door: Open) -> None:
    """An open WebSocket is under way, and has no duration."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.receive()

    agent.websocket_handler = handler
    under_way = request_series("GET", "/ws", scheme="ws")
    with metered() as figures:
        client = await open_door()
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{client.url}/ws"):
            assert figures.values(ACTIVE) == {under_way: 1}
        await client.door.stop(1.0)

        assert figures.values(ACTIVE) == {under_way: 0}
        assert not figures.values(DURATION)


async def test_metrics_off(open_door: Open) -> None:
    """With metrics off nothing stands between the listener and the door."""
    client = await open_door()

    server = client.door._server
    assert server is not None
    assert server.door is client.door.door
