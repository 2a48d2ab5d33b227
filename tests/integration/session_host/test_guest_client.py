"""HTTP to a guest, over a Unix socket and over a port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientError, WSMsgType, WSServerHandshakeError, web

from outlast.ping import PingStatus
from outlastd.session_host.guest_client import MAX_PING, Endpoint, GuestClient, PingAnswer, PingFailed

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
HEALTHY = PingAnswer(PingStatus.HEALTHY)


class Guest:
    """A server that does what a test tells it to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.requests: list[web.BaseRequest] = []
        self.handler: Handler = self.say(b'{"status": "Healthy"}')

    def say(self, body: bytes, status: int = 200) -> Handler:
        """Have it answer so."""

        async def handler(_: web.BaseRequest) -> web.Response:
            return web.Response(body=body, status=status)

        self.handler = handler
        return handler

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        self.requests.append(request)
        return await self.handler(request)


@pytest.fixture(params=["socket", "port"])
async def guest(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guest]:
    """Serve a guest."""
    made: Guest
    server = web.Server(lambda asked: made.answer(asked))
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    path = tmp_path / "guest"
    if request.param == "socket":
        made = Guest(Endpoint(socket=path, secret="secret"))
        await web.UnixSite(runner, path).start()
    else:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made = Guest(Endpoint(port=runner.addresses[0][1], secret="secret"))
    yield made
    await runner.cleanup()


@pytest.fixture
async def client(guest: Guest) -> AsyncIterator[GuestClient]:
    """Make a client of the guest."""
    made = GuestClient(guest.endpoint)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"status": "Healthy"}', HEALTHY),
        (b'{"status":"HealthyBusy","time_of_last_update":1}', PingAnswer(PingStatus.HEALTHY_BUSY, 1)),
        (b'{"status": "healthy"}', HEALTHY),
        (b'{"status": "Healthy", "time_of_last_update": "2026-11-21T08:30:00Z"}', HEALTHY),
        (b'{"status": "Healthy", "time_of_last_update": true}', HEALTHY),
        (b'{"status": "Healthy", "time_of_last_update": 1.5}', HEALTHY),
        (b'{"status": "Healthy", "time_of_last_update": null, "more": [{}]}', HEALTHY),
        (b'{"status": "Healthy", "time_of_last_update": 1' + 40 * b"0" + b"}", HEALTHY),
    ],
)
async def test_ping(guest: Guest, client: GuestClient, body: bytes, answer: PingAnswer) -> None:
    """A guest's status is read, and the second of its change where that is an integer."""
    guest.say(body)
    assert await client.ping(5) == answer


@pytest.mark.parametrize(
    "body", [b"", b"OK", b"[]", b"null", b'"Healthy"', b"{}", b'{"status": 1}', b'{"status": "Sick"}', b"\xff", b"NaN"]
)
async def test_ping_that_says_nothing(guest: Guest, client: GuestClient, body: bytes) -> None:
    """An answer that is none of the contract's is a ping that has failed, though its status is 200."""
    guest.say(body)
    with pytest.raises(PingFailed):
        await client.ping(5)


@pytest.mark.parametrize("status", [204, 302, 404, 500, 503])
async def test_ping_of_another_status(guest: Guest, client: GuestClient, status: int) -> None:
    """Any status but 200 is a ping that has failed; a redirection is not followed."""
    guest.say(b'{"status": "Healthy"}' if status != 204 else b"", status)
    with pytest.raises(PingFailed, match=f"HTTP {status}"):
        await client.ping(5)
    assert len(guest.requests) == 1


async def test_ping_without_an_answer(guest: Guest, client: GuestClient) -> None:
    """A guest that is silent, in its head or in its body, is given the time that a ping has."""

    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        return await silent(request)

    for handler in (silent, half):
        guest.handler = handler
        with pytest.raises(PingFailed, match=r"no answer within 0\.1 s"):
            await client.ping(0.1)


async def test_ping_without_an_end(guest: Guest, client: GuestClient) -> None:
    """An answer that goes on and on is broken off."""
    guest.say(b" " * (MAX_PING + 1))
    with pytest.raises(PingFailed, match="more than"):
        await client.ping(5)


async def test_ping_of_nobody(tmp_path: Path) -> None:
    """Where nobody listens, a ping fails."""
    client = GuestClient(Endpoint(socket=tmp_path / "nobody"))
    with pytest.raises(PingFailed, match="no answer: UnixClientConnectorError"):
        await client.ping(5)
    await client.close()


async def test_request(guest: Guest, client: GuestClient) -> None:
    """A request arrives as it was given, with the secret, and with nothing that nobody asked for."""

    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read(), status=418, headers={"X-Answer": "1", "Location": "/elsewhere"})

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one ", b"two"):
            yield piece

    guest.handler = echo
    headers = {"X-Outlast-Secret": "forged", "Content-Length": "7", "X-Ask": "1"}
    async with client.request("POST", "/in%2Fvocations?a=%2F", headers=headers, data=pieces()) as response:
        assert (response.status, response.headers["X-Answer"]) == (418, "1")
        assert await response.read() == b"one two"
    (asked,) = guest.requests
    assert asked.path_qs == "/in%2Fvocations?a=%2F"
    assert asked.headers.getall("X-Outlast-Secret") == ["secret"]
    assert set(asked.headers) == {"Host", "X-Outlast-Secret", "Content-Length", "X-Ask", "Connection"}


async def test_header_that_is_two(guest: Guest, client: GuestClient) -> None:
    """A header that would smuggle another one is not sent."""
    with pytest.raises(ValueError, match="header"):
        async with client.request("GET", "/", headers={"X-A": "1\r\nX-B: 2"}):
            pass
    assert not guest.requests


async def test_answer_that_is_not_read(guest: Guest, client: GuestClient) -> None:
    """Whoever leaves before the end of a stream breaks it off for the guest, too."""
    left = asyncio.Event()

    async def stream(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: 1\n\n")
        except ConnectionError:
            left.set()
            raise

    guest.handler = stream
    async with client.request("POST", "/invocations") as response:
        assert (await response.content.readline()) == b"data: 1\n"
    await left.wait()


async def test_answer_that_does_not_begin(guest: Guest, client: GuestClient) -> None:
    """A request whose answer does not begin in time ends with a TimeoutError."""

    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    guest.handler = silent
    with pytest.raises(TimeoutError):
        async with client.request("POST", "/invocations", timeout=0.1):
            pass


async def test_connections_are_not_reused(guest: Guest, client: GuestClient) -> None:
    """Every request has a connection of its own: none is sent into one that the guest may be closing."""
    for _ in range(3):
        await client.ping(5)
    assert len({id(asked.protocol) for asked in guest.requests}) == 3
    assert {asked.headers["Connection"] for asked in guest.requests} == {"close"}


async def test_close_breaks_off(guest: Guest, client: GuestClient) -> None:
    """What still runs when the client is closed fails there and then."""
    arrived = asyncio.Event()

    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> None:
        async with client.request("POST", "/invocations"):
            pass

    guest.handler = silent
    asking = asyncio.create_task(ask())
    await arrived.wait()
    await client.close()
    with pytest.raises(ClientError):
        await asking


async def test_websocket(guest: Guest, client: GuestClient) -> None:
    """Frames of every kind come through, and the close with its code."""

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("a", "b"))
        await socket.prepare(request)
        await socket.send_str("hello")
        await socket.ping(b"there?")
        message = await socket.receive()
        await socket.close(code=4000, message=message.data)
        return socket

    guest.handler = serve
    async with client.websocket("/ws?x=1", headers={"X-Ask": "1"}, protocols=("b",), timeout=5) as socket:
        assert socket.protocol == "b"
        assert (await socket.receive()).data == "hello"
        assert (await socket.receive()).type is WSMsgType.PING
        await socket.send_bytes(b"bye")
        closed = await socket.receive()
        assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 4000, "bye")
    (asked,) = guest.requests
    assert asked.headers["X-Outlast-Secret"] == "secret"
    assert asked.headers["X-Ask"] == "1"


async def test_websocket_that_is_refused(guest: Guest, client: GuestClient) -> None:
    """A guest that takes no WebSocket says so with a status."""
    guest.say(b"", 403)
    with pytest.raises(WSServerHandshakeError) as raised:
        async with client.websocket("/ws"):
            pass
    assert raised.value.status == 403


async def test_answers_of_1xx(guest: Guest, client: GuestClient) -> None:
    """A few answers of 1xx are passed over; a guest that sends them without end breaks its connection at once."""
    count = 3

    async def interim(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * count)
        return web.Response(text="said")

    guest.handler = interim
    async with client.request("POST", "/invocations") as answer:
        assert await answer.text() == "said"
    count = 10_000
    with pytest.raises(ClientError):
        async with client.request("POST", "/invocations"):
            pass
