"""The program's middleware before the door: what it adds reaches callers and handlers, and it holds up no ping."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
import pytest
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from outlast.app import App
from outlast.core.errors import StartRefused
from outlast.core.operation import Start
from outlastd.front_door.asgi import CLIENT_GONE
from outlastd.front_door.connection import Connection
from outlastd.front_door.middleware import PING_PATIENCE
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Client, Connect, Open

Behind = Callable[..., Awaitable[Client]]
CallNext = Callable[[Request], Awaitable[Response]]

who: ContextVar[str] = ContextVar("who", default="nobody")


class Pure:
    """Middleware without Starlette: a context variable, an item of the scope's state, and a header."""

    def __init__(self, app: Any, value: str = "pure") -> None:
        self.app = app
        self.value = value
        self.seen: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        self.seen.append(scope["type"])
        who.set(self.value)
        scope["state"]["who"] = self.value

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-who", self.value.encode())]
            await send(message)

        await self.app(scope, receive, marked)


class Based(BaseHTTPMiddleware):
    """Middleware as most people write it."""

    async def dispatch(self, request: Request, call_next: CallNext) -> Response:
        """Pass the request on."""
        request.state.thread = threading.current_thread().name
        response = await call_next(request)
        response.headers["x-based"] = "1"
        return response


@pytest.fixture
def open_behind(open_door: Open) -> Behind:
    """Open a front door behind middleware."""

    async def open_one(*middleware: Any, **options: Any) -> Client:
        client = await open_door(**options)
        await client.door.put_behind(App(middleware=middleware).wrap_asgi)
        return client

    return open_one


async def test_middleware_adds_to_answers_and_to_what_handlers_see(agent: Agent, open_behind: Behind) -> None:
    """A header reaches the caller; state and context variables reach the handler, of whatever kind it is."""

    def handler(payload: Any, context: Any) -> Any:
        state = context.request.state
        return [payload, who.get(), state.who, state.thread]

    async def async_handler(payload: Any, context: Any) -> Any:
        return handler(payload, context)

    client = await open_behind(Middleware(Pure, value="me"), Middleware(Based))

    for each in (handler, async_handler):
        agent.entrypoint_handler = each
        answer = await client.invoke({"a": 1})

        assert answer.json == [{"a": 1}, "me", "me", "outlast-agent"]
        assert (answer.headers["x-who"], answer.headers["x-based"]) == ("me", "1")


async def test_middleware_may_be_any_class_and_options(agent: Agent, open_behind: Behind) -> None:
    """An entry is whatever gives class, arguments and options: Starlette is not needed for it."""
    client = await open_behind((Pure, ("tuple",), {}))

    assert (await client.get("/ping")).headers["x-who"] == "tuple"


async def test_no_middleware_is_no_stack(open_door: Open) -> None:
    """An App without middleware has nothing put before the door."""
    assert App().wrap_asgi(lambda scope, receive, send: None) is None


async def test_middleware_may_read_the_body_and_answer_by_itself(agent: Agent, open_behind: Behind) -> None:
    """A body that middleware reads is still the handler's; a request that it answers reaches no handler."""

    class Refuses(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: CallNext) -> Response:
            if b"bad" in await request.body():
                return JSONResponse({"refused": True}, 403)
            return await call_next(request)

    agent.entrypoint_handler = lambda payload: payload
    client = await open_behind(Middleware(Refuses))

    refused, passed = await client.invoke("bad"), await client.invoke("x" * 300_000)

    assert (refused.status, refused.json) == (403, {"refused": True})
    assert passed.json == "x" * 300_000


async def test_a_body_over_the_limit_is_refused_through_middleware(
    agent: Agent, open_behind: Behind, lines: Any
) -> None:
    """The limit holds for bodies that middleware passes on, and no line calls it a fault."""
    client = await open_behind(Middleware(Based), rules=InvocationRules(max_body_bytes=100))

    answer = await client.invoke("x" * 200)

    assert answer.status == 413
    assert lines() == []


async def test_cors_middleware_answers_for_allowed_origins(agent: Agent, open_behind: Behind) -> None:
    """A preflight is answered by CORSMiddleware; an origin that the guard does not let in never comes so far."""
    origin = "https://page.example"
    cors = Middleware(CORSMiddleware, allow_origins=[origin], allow_methods=["PATCH"], max_age=7)
    client = await open_behind(cors, allowed_origins=[origin])
    asks = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}

    preflight = await client.ask("OPTIONS", "/invocations", headers=asks)
    ping = await client.ask("GET", "/ping", headers={"Origin": origin})
    other = await client.ask("OPTIONS", "/invocations", headers=asks | {"Origin": "https://other.example"})

    assert (preflight.status, preflight.headers["Access-Control-Max-Age"]) == (200, "7")
    assert ping.headers["Access-Control-Allow-Origin"] == origin
    assert other.status == 403


async def test_a_stream_stays_a_stream(agent: Agent, open_behind: Behind) -> None:
    """Each event reaches the caller when it is yielded, through every layer."""
    go = asyncio.Event()

    async def handler(payload: Any) -> AsyncIterator[int]:
        yield 1
        await go.wait()
        yield 2

    agent.entrypoint_handler = handler
    client = await open_behind(Middleware(Pure), Middleware(Based))

    async with client.session.post(f"{client.url}/invocations", json=1) as response:
        first = await response.content.readuntil(b"\n\n")
        agent.loop.post(go.set)
        rest = await response.content.read()

    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")
    assert response.headers["x-based"] == "1"


@pytest.mark.parametrize("middleware", [[Middleware(Pure)], [Middleware(Based)], [Middleware(Pure), Middleware(Based)]])
async def test_a_client_that_leaves_closes_the_generator(
    agent: Agent, open_behind: Behind, connect: Connect, middleware: list[Any], lines: Any
) -> None:
    """The client's leaving passes through the stack to the handler's generator."""
    closed = threading.Event()

    async def handler(payload: Any) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    agent.entrypoint_handler = handler
    client = await open_behind(*middleware)
    connection = await connect(client, b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1")

    await connection.reader.readuntil(b"data: 1")
    await connection.leave()

    assert await asyncio.to_thread(closed.wait, 10)
    await client.door.stop(10.0)
    assert [line for line in lines() if line["level"] != "INFO"] == []


async def test_a_handlers_own_response_passes_through(agent: Agent, open_behind: Behind) -> None:
    """A streaming response within middleware is whole, and packed where middleware packs."""
    agent.entrypoint_handler = lambda payload: StreamingResponse(iter(["x" * 5_000, "y" * 5_000]))
    client = await open_behind(Middleware(GZipMiddleware), Middleware(Based))

    async with client.session.post(f"{client.url}/invocations", json=1) as response:
        assert await response.text() == "x" * 5_000 + "y" * 5_000
        assert response.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_ping_waits_a_second_at_the_most(agent: Agent, open_behind: Behind, method: str) -> None:
    """While a handler blocks the agent's loop the door answers pings itself, and middleware does so again after it."""
    blocking, unblock = threading.Event(), threading.Event()

    async def handler(payload: Any) -> Any:
        blocking.set()
        while not unblock.is_set():  # a wait would be found out as what it is
            pass

    agent.entrypoint_handler = handler
    client = await open_behind(Middleware(Pure))
    invocation = asyncio.create_task(client.invoke())
    await asyncio.to_thread(blocking.wait)

    began = time.monotonic()
    during = await client.ask(method, "/ping")
    seconds = time.monotonic() - began
    unblock.set()
    await invocation
    after = await client.ask(method, "/ping")

    assert (during.status, "x-who" in during.headers) == (200, False)
    assert seconds < PING_PATIENCE + 1
    assert (after.status, "x-who" in after.headers) == (200, True)


async def test_a_ping_needs_no_task_manager(agent: Agent, open_behind: Behind) -> None:
    """With tasks that nobody confirms a ping is answered at once, and what may speak of them is 424."""
    agent.ledger.attach(lambda: None)

    async def acknowledge(watermark: int) -> None:
        if watermark:
            raise TimeoutError

    class Starts(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: CallNext) -> Response:
            response = await call_next(request)
            agent.ledger.start(Start("work"))
            return response

    agent.durability.acknowledge = acknowledge
    agent.entrypoint_handler = lambda payload: payload
    client = await open_behind(Middleware(Starts))

    assert (await client.invoke()).status == 424
    assert (await client.get("/ping")).json["status"] == "HealthyBusy"


async def test_middleware_that_raises_is_a_500(open_behind: Behind, lines: Any) -> None:
    """What middleware raises is answered as by the original's server, and stands in the log."""

    class Fails:
        def __init__(self, app: Any) -> None:
            pass

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("broke")

    client = await open_behind((Fails, (), {}))

    answer = await client.invoke()
    line = lines()[-1]

    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert (line["level"], line["message"], line["errorMessage"]) == ("ERROR", "Exception in ASGI application", "broke")


async def test_middleware_that_cannot_be_made_refuses_the_start(open_behind: Behind) -> None:
    """A constructor that raises ends the start, and not each request."""

    class Unmakable:
        def __init__(self, app: Any) -> None:
            raise ValueError("no secret is set")

    with pytest.raises(StartRefused, match="ValueError: no secret is set"):
        await open_behind((Unmakable, (), {}))


async def test_a_stop_waits_for_what_middleware_is_at(agent: Agent, open_behind: Behind) -> None:
    """A request that no handler is called for gets its answer too before the front door closes."""
    begun, go = threading.Event(), asyncio.Event()

    class Answers(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: CallNext) -> Response:
            begun.set()
            await go.wait()
            return Response(threading.current_thread().name)

    client = await open_behind(Middleware(Answers))
    asked = asyncio.create_task(client.get("/own"))
    await asyncio.to_thread(begun.wait)

    stopping = asyncio.create_task(client.door.stop(10.0))
    done, _ = await asyncio.wait([stopping], timeout=0.1)
    agent.loop.post(go.set)
    await stopping

    assert not done
    assert (await asked).body == b"outlast-agent"


async def test_a_client_that_left_early_is_nobodys_fault(
    agent: Agent, open_behind: Behind, connect: Connect, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No handler is called for one that left before its request was read; middleware has a response to go on with."""
    came, lost = threading.Event(), threading.Event()
    seen: asyncio.Queue[int] = asyncio.Queue()
    here = asyncio.get_running_loop()

    class Slow(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: CallNext) -> Response:
            came.set()
            await asyncio.to_thread(lost.wait, 30)
            response = await call_next(request)
            here.call_soon_threadsafe(seen.put_nowait, response.status_code)
            return response

    connection_lost = Connection.connection_lost

    def tell(self: Connection, exc: BaseException | None) -> None:
        connection_lost(self, exc)
        lost.set()

    monkeypatch.setattr(Connection, "connection_lost", tell)
    called: list[Any] = []
    agent.entrypoint_handler = called.append
    client = await open_behind(Middleware(Slow))
    connection = await connect(
        client, b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ntrue"
    )
    await asyncio.to_thread(came.wait, 30)
    await connection.leave()

    async with asyncio.timeout(30):
        assert await seen.get() == CLIENT_GONE
    await client.door.stop(grace=5.0)
    assert called == []
    assert [line["message"] for line in lines() if line["level"] == "ERROR"] == []


async def test_head_and_unknown_paths_are_the_doors(open_behind: Behind) -> None:
    """What no handler is for is answered by the door, through the stack."""
    client = await open_behind(Middleware(Pure), Middleware(Based))

    head, missing = await client.ask("HEAD", "/ping"), await client.get("/nowhere")
    wrong = await client.get("/invocations")

    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0
    assert (missing.status, missing.body) == (404, b"Not Found")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")


async def test_websockets_pass_through_middleware(agent: Agent, open_behind: Behind) -> None:
    """Pure ASGI middleware sees WebSocket connections, and what it sets reaches their handler."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        with contextlib.suppress(Exception):
            async for text in websocket.iter_text():
                await websocket.send_text(f"{text} {who.get()} {websocket.state.who}")

    agent.websocket_handler = handler
    client = await open_behind(Middleware(Pure), Middleware(Based))

    async with client.session.ws_connect(f"{client.url}/ws") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello pure pure"


async def test_websockets_of_other_origins_do_not_reach_middleware(agent: Agent, open_behind: Behind) -> None:
    """The guard stands before the program's middleware, for WebSockets too."""
    client = await open_behind(Middleware(Pure))

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.session.ws_connect(f"{client.url}/ws", origin="https://other.example")

    assert refused.value.status == 403
