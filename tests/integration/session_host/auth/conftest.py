"""Gates on real sockets, with keys or tokens of the test's choice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from outlast.settings.kinds import read
from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.session_host.auth.authenticator import make_authenticator
from outlastd.session_host.auth.neighbours import Neighbours
from outlastd.session_host.config import AuthConfig

from .gate import ACCESS_KEY, SECRET, Gate, Serve, Served, ShiftedClock


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return a configuration with one key."""
    monkeypatch.setenv("ALICES_SECRET", SECRET)
    key = {"name": "alice", "access_key": ACCESS_KEY, "secret_variable": "ALICES_SECRET"}
    return {"keys": [{**key, "session_prefix": "session-", "user": "alice"}]}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a gate with a configuration of ``auth`` and the processes of guests."""
    async with AsyncExitStack() as stack:

        async def serve_one(
            auth: dict[str, Any] | None = None,
            *,
            token: str = "operators",
            guests: Collection[tuple[int, int]] = (),
            host: int | None = None,
        ) -> Served:
            clock = ShiftedClock()
            neighbours = Neighbours(lambda: guests, host=host)
            authenticator = make_authenticator(read(AuthConfig, auth or {}), token, neighbours, clock)
            stack.push_async_callback(authenticator.close)
            gate = Gate(authenticator)
            server = AiohttpServer(gate)
            ((_, port),) = await server.listen("127.0.0.1", 0)
            stack.push_async_callback(server.close)
            stack.push_async_callback(server.stop_listening)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Served(gate, port, session, clock)

        yield serve_one


@pytest.fixture
def proc() -> None:
    """Skip a test where connections cannot be looked up."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("this machine has no /proc, which tells whose a connection is")
