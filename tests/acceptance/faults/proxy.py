"""A place on the way between two processes, where bytes can be held and connections cut."""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import StrEnum


class Way(StrEnum):
    """Which way bytes go: up is towards the server."""

    UP = "up"
    DOWN = "down"


#: Closing says "reset" at once, and what was not sent is lost.
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens at an address that stays the same, and passes every connection on to a server that may change."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        #: ``HOST:PORT``; empty where there is no server now.
        self.server = ""
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._refusing = False
        self._open = {way: asyncio.Event() for way in Way}
        self._caught = {way: asyncio.Event() for way in Way}
        for way in Way:
            self._open[way].set()

    async def start(self) -> str:
        """Listen; return the address, ``HOST:PORT``."""
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._listener.sockets[0].getsockname())
        return self.address

    async def close(self) -> None:
        """End every connection and listen no more."""
        self.cut()
        if self._listener is not None:
            self._listener.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many connections go through it now."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset every connection, with all that is on its way, and refuse new ones."""
        self._refusing = True
        for writer in list(self._writers):
            _reset(writer)

    def hold(self, *ways: Way) -> None:
        """Let nothing through; both ways are a black hole."""
        for way in ways:
            self._caught[way].clear()
            self._open[way].clear()

    def release(self, *ways: Way) -> None:
        """Let everything through that was held; the other way stays as it is."""
        for way in ways:
            self._open[way].set()

    def heal(self) -> None:
        """Let everything through, and new connections."""
        self._refusing = False
        self.release(*Way)

    async def caught(self, way: Way) -> None:
        """Wait until something is held on its way."""
        await self._caught[way].wait()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or not self.server:
            _reset(writer)
            return
        host, _, port = self.server.rpartition(":")
        self._writers.add(writer)
        try:
            answers, requests = await asyncio.open_connection(host, int(port))
        except OSError:
            _reset(writer)
            self._writers.discard(writer)
            return
        self._writers.add(requests)
        if self._refusing:
            self.cut()
        pumps = [
            asyncio.create_task(self._pump(Way.UP, reader, requests)),
            asyncio.create_task(self._pump(Way.DOWN, answers, writer)),
        ]
        self._pumps.update(pumps)
        for pump in pumps:
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if not self._open[way].is_set():
                    self._caught[way].set()
                    await self._open[way].wait()
                writer.write(data)
                await writer.drain()
        except OSError:  # reset, from one side or the other
            pass
        finally:
            writer.close()
            self._writers.discard(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
