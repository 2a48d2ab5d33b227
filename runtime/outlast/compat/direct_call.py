"""Invocations that a program hands to the app itself, with a request of Starlette's and no server between them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

_Event = dict[str, Any]
_ASGIApp = Callable[[_Event, Callable[[], Awaitable[_Event]], Callable[[_Event], Awaitable[None]]], Awaitable[None]]


async def invoke(app: _ASGIApp, request: Any) -> Any:
    """Have the app answer ``POST /invocations``; return a response of Starlette's."""
    return await _ask(app, request.headers.items(), await _body_of(request))


async def _body_of(request: Any) -> bytes:
    """Return the payload of a request, of which only ``json()`` is asked."""
    try:
        return json.dumps(await request.json()).encode()
    except json.JSONDecodeError as error:
        return error.doc.encode()  # the app will say what is wrong with it


async def _ask(app: _ASGIApp, headers: Any, body: bytes) -> Any:
    from starlette.responses import Response, StreamingResponse

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        # The name that Starlette's own test client goes by: an app that is not being served records nothing for it.
        "client": ("testclient", 0),
        "server": None,
    }
    events: asyncio.Queue[_Event | None] = asyncio.Queue()
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> _Event:
        event = next(requests, None)
        if event is None:
            await asyncio.Event().wait()  # this client does not leave
        return event or {}

    serving = asyncio.ensure_future(app(scope, receive, events.put))
    serving.add_done_callback(lambda _: events.put_nowait(None))
    start, first = await events.get(), await events.get()
    if start is None or first is None:
        await serving  # says why
        raise RuntimeError("the app has not answered")
    if not first.get("more_body"):
        response = Response(first.get("body"), start["status"])
    else:
        response = StreamingResponse(_pieces(first, events, serving), start["status"])
    response.raw_headers = start["headers"]
    response.media_type = response.headers["content-type"].partition(";")[0]
    return response


async def _pieces(
    event: _Event | None, events: asyncio.Queue[_Event | None], serving: asyncio.Future[None]
) -> AsyncIterator[bytes]:
    try:
        while event is not None:
            if event.get("body"):
                yield event["body"]
            event = await events.get() if event.get("more_body") else None
    finally:
        serving.cancel()
