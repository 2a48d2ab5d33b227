"""``outlast health`` of an agent or a session host, asked over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from .command import outlast


@pytest.fixture
def nowhere() -> str:
    """Return an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def answering(answer: str, asked: Callable[[str], None] = lambda request: None) -> AsyncIterator[str]:
    """Answer whatever is asked with a status and a body; give the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head := await reader.readline():  # nothing comes from who only looks whether somebody is there
            asked(head.decode())
            status, _, body = answer.partition("\n")
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield str(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize("variable", ["OUTLAST_PORT", "PORT"])
async def test_an_agent_that_answers_its_ping_is_well(nowhere: str, variable: str) -> None:
    """Busy or not; it is asked on this machine, wherever it listens."""
    requests: list[str] = []
    async with answering('200 OK\n{"status": "HealthyBusy", "time_of_last_update": 1}', requests.append) as port:
        done = await outlast(
            "health", **{variable: port, "OUTLAST_HOST": "0.0.0.0"}, OUTLAST_TASK_MANAGER_LISTEN=nowhere
        )

    assert (done.code, done.out, done.err) == (0, f"127.0.0.1:{port} is HealthyBusy\n", "")
    assert requests == ["GET /ping HTTP/1.1\r\n"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("503 No\n{}", "answers 503 to /ping"),
        ("200 OK\nhello", "is no agent"),
        ("200 OK\n[]", "is no agent"),
        ("nonsense", "does not answer /ping: HTTP/1.1 nonsense\n"),
    ],
)
async def test_what_answers_anything_else_is_not(answer: str, why: str) -> None:
    """Exit code 1, and a line that says why."""
    async with answering(answer) as port:
        done = await outlast("health", OUTLAST_PORT=port)

    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("unhealthy: ")
    assert f"127.0.0.1:{port}" in done.out
    assert why in done.out


async def test_nothing_listens(nowhere: str) -> None:
    """The line names both places; an address in the settings is asked as it is; a bad number is told."""
    host, _, port = nowhere.rpartition(":")
    done = await outlast("health", OUTLAST_HOST=host, OUTLAST_PORT=port, OUTLAST_TASK_MANAGER_LISTEN=nowhere)
    bad = await outlast("health", OUTLAST_PORT="http")

    assert (done.code, done.out) == (1, f"unhealthy: nothing listens on {nowhere} or {nowhere}\n")
    assert (bad.code, bad.out) == (1, "unhealthy: 'http' is no port\n")
