"""Bodies of requests over real connections."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
from collections.abc import AsyncGenerator, Iterator

import aiohttp
import pytest

from outlastd.front_door.request import ClientGone, Request
from outlastd.front_door.response import Response
from outlastd.session_host.scratch import Disk
from outlastd.session_host.spool import spool

from .small_server import serving

PIECE = bytes(range(256)) * 256


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """Files are counted: no collection is to close some that other tests have left."""
    gc.disable()
    yield
    gc.enable()


class Host:
    """Answers with what it has seen of a body."""

    def __init__(self) -> None:
        self.disk = Disk(100_000_000)
        #: Set when the disk is in use, and when a client has left.
        self.begun = asyncio.Event()
        self.left = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        take = self.disk.take

        def seen(size: int) -> None:
            take(size)
            self.begun.set()

        self.disk.take = seen  # type: ignore[method-assign]
        try:
            body = await spool(request, 10_000_000, disk=self.disk)
        except ClientGone:
            self.left.set()
            raise
        digest = hashlib.sha256()
        async for chunk in body.chunks():
            digest.update(chunk)
        await body.close()
        assert digest.hexdigest() == body.sha256
        return Response(200, f"{body.size} {body.sha256}".encode())


@pytest.mark.parametrize("pieces", [0, 1, 100])
async def test_a_body(pieces: int) -> None:
    """It is what the client has sent, with a length and without one."""
    host, whole = Host(), PIECE * pieces

    async def come() -> AsyncGenerator[bytes, None]:
        for _ in range(pieces):
            yield PIECE

    async with serving(host.handle) as port, aiohttp.ClientSession() as session:
        for headers in ({}, {"Content-Length": str(len(whole))}):
            async with session.post(f"http://127.0.0.1:{port}/", data=come(), headers=headers) as answer:
                assert await answer.text() == f"{len(whole)} {hashlib.sha256(whole).hexdigest()}"
    assert host.disk.used == 0


async def test_one_that_is_too_large() -> None:
    """It is refused, however it comes, and nothing of it is left."""
    host = Host()

    async def come() -> AsyncGenerator[bytes, None]:
        for _ in range(160):
            yield PIECE

    async with (
        serving(host.handle) as port,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/", data=come()) as answer,
    ):
        assert answer.status == 413
    assert host.disk.used == 0


async def test_a_client_that_leaves() -> None:
    """Nothing is left of a body that does not come to its end."""
    host = Host()
    async with serving(host.handle) as port:
        before = len(os.listdir("/dev/fd"))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n" + PIECE * 50)
        await writer.drain()
        await host.begun.wait()
        writer.close()
        await writer.wait_closed()

        await host.left.wait()

        assert host.disk.used == 0
        await asyncio.get_running_loop().shutdown_default_executor()
        assert len(os.listdir("/dev/fd")) == before
