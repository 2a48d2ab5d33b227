"""What the adapter tells of a request, and where it listens; the rest is tested through the front door."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, json_response, refusal_response


class Front:
    """Answers what it was told, and reads bodies piece by piece."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(self, request: Request) -> Response:
        """Answer."""
        size = 0
        try:
            async for piece in request.pieces(1_000):
                size += len(piece)
                self.pieces.put_nowait(piece)
        except Refusal as refusal:
            return refusal_response(refusal)
        told = {
            "path": request.path,
            "raw_path": request.raw_path,
            "query_string": request.query_string,
            "peer": request.peer,
            "peer_port": request.peer_port,
            "from_loopback": request.from_loopback,
            "on_loopback": request.on_loopback,
            "size": size,
        }
        return json_response(told)

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Not asked for."""
        raise NotImplementedError


@pytest.fixture
def front() -> Front:
    """What is served."""
    return Front()


@asynccontextmanager
async def _serving(front: Front, io_timeout: float = 60.0) -> AsyncIterator[int]:
    server = AiohttpServer(
        front, io_timeout=io_timeout, refused=lambda refusal: json_response({"no": refusal.error}, refusal.status)
    )
    ((_, port),) = await server.listen("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop_listening()
        await server.close()


async def _send(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return reader, writer


async def _leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def test_what_is_told_of_a_request(front: Front) -> None:
    """The path is there as it was sent and decoded, and the peer with its port."""
    async with _serving(front) as port:
        reader, writer = await _send(
            port, b"GET /a%2Fb/%63?q=%20&r HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        own_port = writer.get_extra_info("sockname")[1]
        told = (await reader.read()).decode()
        await _leave(writer)

    assert '"path":"/a/b/c","raw_path":"/a%2Fb/%63","query_string":"q=%20&r"' in told
    assert f'"peer":"127.0.0.1","peer_port":{own_port},"from_loopback":true,"on_loopback":true' in told


async def test_pieces_come_as_they_are_sent(front: Front) -> None:
    """A piece of a body is given before the next has been sent; a body that is there already is one piece."""
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    async with _serving(front) as port:
        reader, writer = await _send(port, head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"4\r\nsome\r\n")
            assert await front.pieces.get() == b"some"
        writer.write(b"0\r\n\r\n")
        assert b'"size":12' in await reader.read()
        await _leave(writer)
        reader, writer = await _send(port, head + b"Content-Length: 4\r\n\r\nsome")
        assert b'"size":4' in await reader.read()
        await _leave(writer)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 1001\r\n\r\n",
        b"Content-Length: 1001\r\n\r\n" + b"x" * 1_001,
        b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1_001,
    ],
)
async def test_pieces_over_the_limit(front: Front, body: bytes) -> None:
    """A body over the limit is refused as soon as that is known."""
    async with _serving(front) as port:
        reader, writer = await _send(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + body)
        assert b" 413 " in await reader.readline()
        await _leave(writer)


async def test_pieces_that_do_not_come(front: Front) -> None:
    """A client that stops in its body is waited for as long as in any other request."""
    async with _serving(front, io_timeout=0.1) as port:
        reader, writer = await _send(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsome")
        assert b" 408 " in await reader.readline()
        await _leave(writer)


async def test_what_never_reaches_the_door(front: Front) -> None:
    """What is no HTTP, or has a header that is no text, is answered in the shape that the server was given."""
    for odd in (b"no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\r\nConnection: close\r\n\r\n"):
        async with _serving(front) as port:
            reader, writer = await _send(port, odd)
            told = await reader.read()
            await _leave(writer)
        assert b" 400 " in told.partition(b"\r\n")[0]
        assert b'{"no":' in told


async def test_a_unix_socket(front: Front) -> None:
    """A Unix socket is this user's alone, replaces one that was left there, and goes with the server."""
    with TemporaryDirectory(prefix="outlast-server-") as folder:
        path = Path(folder) / "socket"
        left = await asyncio.start_unix_server(lambda *_: None, path)
        left.close()
        server = AiohttpServer(front)
        await server.listen_socket(path)
        try:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
                session.get("http://localhost/") as response,
            ):
                told = await response.json()
        finally:
            await server.stop_listening()
            await server.close()
        assert not path.exists()

    assert (told["peer"], told["peer_port"], told["from_loopback"], told["on_loopback"]) == ("", 0, False, True)


async def test_a_place_that_is_taken(front: Front) -> None:
    """A file that is no socket is not replaced; nor does a path that is too long do."""
    with TemporaryDirectory(prefix="outlast-server-") as folder:
        path = Path(folder) / "file"
        path.write_text("kept")
        for place in (path, Path(folder) / ("x" * 120)):
            with pytest.raises(OSError, match=r"Address already in use|too long"):
                await AiohttpServer(front).listen_socket(place)
        assert path.read_text() == "kept"
