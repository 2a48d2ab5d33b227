"""A line between a store and its server, on which a test can listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Line:
    """What lies between a store and its server: counts the questions, and can be cut without a word."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.questions = 0
        #: Set while what is said arrives.
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        their_reader, their_writer = await asyncio.open_connection(*self._server)
        answered = True

        async def ask() -> None:
            nonlocal answered
            while data := await reader.read(1 << 20):
                self.questions += answered
                answered = False
                await self.open.wait()
                their_writer.write(data)
            their_writer.close()

        async def answer() -> None:
            nonlocal answered
            while data := await their_reader.read(1 << 20):
                answered = True
                await self.open.wait()
                writer.write(data)
            writer.close()

        await asyncio.gather(ask(), answer())


@asynccontextmanager
async def line_to(url: str) -> AsyncIterator[tuple[Line, str]]:
    """Put a line before a server, and give the URL of the way through it."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    line = Line(parts.hostname, parts.port)
    listener = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield line, f"{url.replace(f':{parts.port}/', f':{port}/')}?sslmode=disable"
