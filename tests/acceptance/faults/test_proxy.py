"""The proxy between processes does what the faults need of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from .proxy import Proxy, Way


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Stand before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy("echo")
    await proxy.start()
    proxy.server = "{}:{}".format(*server.sockets[0].getsockname())
    yield proxy
    await proxy.close()
    server.close()


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the server through the proxy."""
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_it_passes_everything_on(proxy: Proxy) -> None:
    """Bytes go both ways, and the end of a connection too."""
    reader, writer = await connect(proxy)
    writer.write(b"a word")
    assert await reader.readexactly(6) == b"a word"
    writer.close()
    assert await reader.read() == b""


@pytest.mark.parametrize("way", Way)
async def test_it_holds_one_way(proxy: Proxy, way: Way) -> None:
    """What is held is caught, arrives once it is released, and is not lost."""
    reader, writer = await connect(proxy)
    proxy.hold(way)
    writer.write(b"a word")
    await proxy.caught(way)
    reading = asyncio.create_task(reader.readexactly(6))
    done, _ = await asyncio.wait([reading], timeout=0.05)
    assert not done
    proxy.release(way)
    assert await reading == b"a word"
    writer.close()


async def test_it_cuts_and_heals(proxy: Proxy) -> None:
    """Connections are reset with what is held on them, new ones are refused until all is well again."""
    reader, writer = await connect(proxy)
    proxy.hold(Way.UP)
    writer.write(b"a word")
    await proxy.caught(Way.UP)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(6)
    writer.close()

    reader, writer = await connect(proxy)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(6)
    writer.close()

    proxy.heal()
    reader, writer = await connect(proxy)
    writer.write(b"another")
    assert await reader.readexactly(7) == b"another"
    writer.close()
