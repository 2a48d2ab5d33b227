"""``/ws``: a client and the agent of its session talk through the host."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from outlastd.session_host.api_error import busy, denied
from outlastd.session_host.principal import Principal

from .stage import SESSION, Stage

PATH = "/runtimes/my_agent/ws"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
NAMED = {SESSION_HEADER: SESSION}


class Agent:
    """The agent's side of a connection: it does what the test says with what comes."""

    def __init__(self, stage: Stage, **options: Any) -> None:
        self._options = options
        self.opened: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.came: asyncio.Queue[aiohttp.WSMessage] = asyncio.Queue()
        self.closed: asyncio.Queue[int | None] = asyncio.Queue()
        stage.guest.websocket = self.serve

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        socket = web.WebSocketResponse(**self._options)
        await socket.prepare(request)
        self.opened.put_nowait(socket)
        async for message in socket:
            self.came.put_nowait(message)
        self.closed.put_nowait(socket.close_code)
        return socket


def _connect(stage: Stage, query: str = "", **options: Any) -> Any:
    options.setdefault("headers", NAMED)
    return stage.http.ws_connect(stage.address + PATH + query, **options)


async def test_both_ways(stage: Stage) -> None:
    """Texts and bytes pass both ways as they are, with the session on both sides; every frame is a sign of life."""
    agent = Agent(stage)
    async with _connect(stage) as client:
        served = await agent.opened.get()
        await client.send_str("grüße")
        await client.send_bytes(b"\x00" * 100_000)
        assert [(await agent.came.get()).data for _ in range(2)] == ["grüße", b"\x00" * 100_000]
        await served.send_str("hello")
        await served.send_bytes(b"\xff")
        assert (await client.receive_str(), await client.receive_bytes()) == ("hello", b"\xff")
        assert stage.sessions.only.in_flight == 1
    assert stage.guest.requests[0].headers[SESSION_HEADER] == SESSION
    assert await agent.closed.get() == 1000
    await _until_left(stage)
    assert stage.sessions.only.touches == 4
    assert stage.strict.said == [("frame", 5), ("frame", 100_000), ("frame", 5), ("frame", 1)]


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "later"), (1008, "no"), (1011, "oh"), (4321, "ö" * 60)]
)
async def test_either_side_closes(stage: Stage, code: int, reason: str) -> None:
    """The code and the reason that one side closes with reach the other."""
    agent = Agent(stage)
    async with _connect(stage) as client:
        await client.close(code=code, message=reason.encode())
        assert await agent.closed.get() == code
    async with _connect(stage, autoclose=False) as client:
        await agent.opened.get()
        served = await agent.opened.get()
        closing = asyncio.ensure_future(served.close(code=code, message=reason.encode()))
        message = await client.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, reason)
        await client.close()
        await closing
    await _until_left(stage)


async def test_a_side_that_vanishes(stage: Stage) -> None:
    """An agent that hears of its client's end no other way gets 1001, a client of a broken agent 1011."""
    agent = Agent(stage)
    client = await _connect(stage)
    await agent.opened.get()
    client._response.connection.transport.abort()
    assert await agent.closed.get() == 1001
    async with _connect(stage) as client:
        served = await agent.opened.get()
        assert served._req is not None
        assert served._req.transport is not None
        served._req.transport.abort()
        assert (await client.receive()).data == 1011
    await _until_left(stage)


async def test_a_session_that_ends(stage: Stage) -> None:
    """The end of the session closes its connections with 1001 and the reason."""
    agent = Agent(stage)
    async with _connect(stage) as client:
        await agent.opened.get()
        stage.sessions.only.told.set_result("the session was idle for 15 minutes")
        message = await client.receive()
        assert (message.data, message.extra) == (1001, "the session was idle for 15 minutes")
    await _until_left(stage)


async def test_a_message_over_the_limit(stage: Stage) -> None:
    """A message of 16 MiB passes, a larger one closes the connection with 1009, both ways."""
    agent = Agent(stage, max_msg_size=0)
    limit = 16 * 1024 * 1024
    async with _connect(stage, max_msg_size=0) as client:
        served = await agent.opened.get()
        await client.send_bytes(bytes(limit))
        assert len((await agent.came.get()).data) == limit
        await served.send_bytes(bytes(limit))
        assert len(await client.receive_bytes()) == limit
        with contextlib.suppress(ConnectionError):  # it is closed before all of it was sent
            await client.send_bytes(bytes(limit + 1))
        assert await agent.closed.get() == 1009
    async with _connect(stage, max_msg_size=0) as client:
        served = await agent.opened.get()
        with contextlib.suppress(ConnectionError):
            await served.send_bytes(bytes(limit + 1))
        assert (await client.receive()).data == 1009
    await _until_left(stage)


async def test_pings_of_the_agent(stage: Stage) -> None:
    """An agent that pings gets its answer from the host."""

    async def ping(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.ping(b"there?")
        message = await socket.receive()
        await socket.send_str(f"{message.type.name} {message.data.decode()}")
        await socket.close()
        return socket

    stage.guest.websocket = ping
    async with _connect(stage) as client:
        assert await client.receive_str() == "PONG there?"


async def test_subprotocols(stage: Stage) -> None:
    """The agent chooses among the client's subprotocols; a token that is shown as one does not reach it."""
    Agent(stage, protocols=("b",))
    async with _connect(stage, protocols=("a", "b")) as client:
        assert client.protocol == "b"
    token = ("base64UrlBearerAuthorization.c2VjcmV0", "base64UrlBearerAuthorization")
    async with _connect(stage, protocols=token) as client:
        assert client.protocol == "base64UrlBearerAuthorization"
    assert "Sec-WebSocket-Protocol" not in stage.guest.requests[-1].headers


async def test_headers_in_the_query(stage: Stage) -> None:
    """A browser, which can send no headers, names session and user in the query, and its own values."""
    agent = Agent(stage)
    query = f"?{SESSION_HEADER.lower()}={SESSION}&X-Amzn-Bedrock-AgentCore-Runtime-User-Id=alice"
    query += "&X-Amzn-Bedrock-AgentCore-Runtime-Custom-Color=blue&X-Amz-Signature=secret&qualifier=DEFAULT"
    async with _connect(stage, query, headers={}):
        await agent.opened.get()
    headers = stage.guest.requests[0].headers
    assert headers[SESSION_HEADER] == SESSION
    assert headers["X-Amzn-Bedrock-AgentCore-Runtime-User-Id"] == "alice"
    assert headers["X-Amzn-Bedrock-AgentCore-Runtime-Custom-Color"] == "blue"
    assert "X-Amz-Signature" not in headers
    assert stage.guest.requests[0].query_string == ""
    odd = f"?{SESSION_HEADER}={SESSION}&X-Amzn-Bedrock-AgentCore-Runtime-Custom-Color=blue%0d%0aX-Outlast-Secret:%20x"
    assert await _refused(stage, odd, headers={}) == (400, "ValidationException")


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_an_agent_that_refuses(stage: Stage, status: int) -> None:
    """The status with which an agent refuses a connection is the client's."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    stage.guest.websocket = refuse

    assert await _refused(stage) == (status, "RuntimeClientError")
    assert stage.sessions.only.in_flight == 0


async def test_an_agent_without_websockets(stage: Stage) -> None:
    """An agent that answers a handshake as if it were none has failed."""
    assert await _refused(stage) == (424, "RuntimeClientError")


async def test_connections_that_are_refused(stage: Stage) -> None:
    """Errors of the API are told by status before there is a connection."""
    assert await _refused(stage, headers={SESSION_HEADER: "short"}) == (400, "ValidationException")
    assert await _refused(stage, "?qualifier=x") == (404, "ResourceNotFoundException")
    assert await _refused(stage, headers=NAMED | {"Origin": "https://evil.example"}) == (403, "AccessDeniedException")
    stage.sessions.failure = busy()
    assert await _refused(stage) == (409, "RetryableConflictException")
    stage.sessions.failure = RuntimeError("secret")
    assert await _refused(stage) == (500, "InternalServerException")
    stage.auth.unproved = denied()
    assert await _refused(stage) == (403, "AccessDeniedException")
    stage.auth.unproved, stage.auth.principal = None, Principal("alice", session_prefix="alice-")
    assert await _refused(stage) == (403, "AccessDeniedException")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await stage.http.ws_connect(f"{stage.address}/sessions")
    assert caught.value.status == 400


async def test_too_many_connections(closed_stage: Stage) -> None:
    """Over the limit of connections the next is throttled."""
    stage = await closed_stage.open(max_requests=1)
    agent = Agent(stage)
    async with _connect(stage):
        await agent.opened.get()
        assert await _refused(stage) == (429, "ThrottlingException")


async def test_a_client_that_does_not_read(stage: Stage) -> None:
    """What a client does not read is not piled up in the host: the agent has to wait."""
    agent = Agent(stage)
    async with _connect(stage, max_msg_size=0) as client:
        served = await agent.opened.get()
        client._response.connection.transport.pause_reading()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await served.send_bytes(bytes(1_000_000))
                sent += 1

        flooding = asyncio.ensure_future(flood())
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 50
        flooding.cancel()
        await asyncio.wait([flooding])
        client._response.connection.transport.abort()
    await _until_left(stage)


async def _refused(stage: Stage, query: str = "", **options: Any) -> tuple[int, str]:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await _connect(stage, query, **options)
    assert caught.value.headers is not None
    assert caught.value.headers["x-amzn-RequestId"]
    return caught.value.status, caught.value.headers["x-amzn-ErrorType"]


async def _until_left(stage: Stage) -> None:
    async with asyncio.timeout(20):
        await stage.sessions.only.idle.wait()


@pytest.mark.parametrize("closing", [False, True])
async def test_an_agent_that_sends_without_a_pause(stage: Stage, closing: bool) -> None:
    """Others have their turn between all that an agent has sent at once, while it is open and when it is closed."""
    count = 5_000

    async def flood(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.write(b"\x89\x00" * count)  # pings
        if closing:
            await socket.close()
        else:
            await socket.send_str("done")
            await socket.receive()
        return socket

    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    stage.guest.websocket = flood
    async with _connect(stage) as client:
        working = asyncio.create_task(others())
        if closing:
            await client.close()
        else:
            await client.send_str("begin")
            assert await client.receive_str() == "done"
            assert turns > count
    await _until_left(stage)
    working.cancel()
    assert turns > count


async def test_a_client_that_sends_without_a_pause(stage: Stage) -> None:
    """Others have their turn between all the pings that a client has sent at once."""
    count = 5_000
    agent = Agent(stage)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with _connect(stage, autoping=False) as client:
        await agent.opened.get()
        working = asyncio.create_task(others())
        client._response.connection.transport.write(b"\x89\x80\0\0\0\0" * count)
        await client.send_str("done")
        assert (await agent.came.get()).data == "done"
        working.cancel()
    assert turns > count
    await _until_left(stage)
