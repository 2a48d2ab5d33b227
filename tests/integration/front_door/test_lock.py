"""A front door with a secret, and one that works for one session."""

from __future__ import annotations

import asyncio
import stat
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.middleware import Middleware

from outlast.app import App
from outlast.core.errors import StartRefused
from outlast.headers import SECRET, SESSION_ID
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Client, Open

KEY = {SECRET: "s3cret"}


class Nosy:
    """Middleware that remembers the headers of what passes."""

    seen: list[bytes]

    def __init__(self, app: Any) -> None:
        self.app = app
        Nosy.seen = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        Nosy.seen += [name.lower() for name, _ in scope["headers"]]
        await self.app(scope, receive, send)


async def handshake(client: Client, headers: dict[str, str]) -> int:
    """Return the status that a WebSocket's handshake is answered with."""
    try:
        async with client.session.ws_connect(f"{client.url}/ws", headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


@pytest.mark.parametrize("behind", [False, True], ids=["bare", "behind middleware"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SECRET: ""},
        {SECRET: "s3cret2"},
        {SECRET: "s3cre"},
        {SECRET: "Bearer s3cret"},
        {SECRET: "s3crét"},
        {"Authorization": "Bearer s3cret"},
        [(SECRET, "s3cret"), (SECRET, "s3cret")],
    ],
    ids=repr,
)
async def test_without_the_secret_there_is_nothing(agent: Agent, open_door: Open, headers: Any, behind: bool) -> None:
    """Whatever is asked, a ping too, is 403 before the agent's code, its middleware too, hears of it."""
    called: list[object] = []
    agent.entrypoint_handler = called.append
    agent.websocket_handler = called.append
    client = await open_door(secret="s3cret")
    if behind:
        await client.door.put_behind(App(middleware=[Middleware(Nosy)]).wrap_asgi)
    for method, path in (
        ("GET", "/ping"),
        ("HEAD", "/ping"),
        ("POST", "/invocations"),
        ("GET", "/tasks"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/invocations"),
    ):
        answer = await client.ask(method, path, headers=headers)
        assert answer.status == 403, (method, path)
        assert b"s3cret" not in answer.body
    assert await handshake(client, headers) == 403
    assert called == []
    assert not behind or Nosy.seen == []


@pytest.mark.parametrize("behind", [False, True], ids=["bare", "behind middleware"])
async def test_no_code_of_the_agents_sees_the_secret(agent: Agent, open_door: Open, behind: bool) -> None:
    """It is in none of the headers that a handler, a WebSocket's handler or middleware can look at."""
    seen: list[object] = []

    def handler(payload: Any, context: Any) -> str:
        scope = context.request.scope
        seen.extend((context.request_headers, dict(context.request.headers), scope["headers"]))
        return "answered"

    async def websocket(socket: Any, context: Any) -> None:
        seen.extend((context.request_headers, socket.scope["headers"], dict(socket.headers)))
        await socket.accept()
        await socket.close()

    agent.entrypoint_handler, agent.websocket_handler = handler, websocket
    client = await open_door(secret="s3cret")
    if behind:
        await client.door.put_behind(App(middleware=[Middleware(Nosy)]).wrap_asgi)
    answer = await client.ask("POST", "/invocations", data=b"{}", headers={**KEY, "X-Mine": "here"})
    assert (answer.status, answer.json) == (200, "answered")
    assert (await client.ask("GET", "/ping", headers={SECRET.lower(): "s3cret"})).status == 200
    assert await handshake(client, {**KEY, "X-Mine": "here"}) == 101
    assert len(seen) == 6
    for headers in seen:
        shown = repr(headers).lower()
        assert "x-mine" in shown
        assert "s3cret" not in shown
        assert SECRET.lower() not in shown
    if behind:
        assert b"x-mine" in Nosy.seen
        assert SECRET.lower().encode() not in Nosy.seen


async def test_without_a_secret_nothing_is_wanted(open_door: Open) -> None:
    """An agent that nobody has given one answers as ever."""
    assert (await (await open_door()).get("/ping")).status == 200


async def test_a_process_of_one_session_works_for_no_other(agent: Agent, open_door: Open) -> None:
    """An invocation of another session is 403 and not run; one that names none is its own session's."""
    agent.entrypoint_handler = lambda payload, context: context.session_id

    async def websocket(socket: Any, context: Any) -> None:
        await socket.accept()
        await socket.close()

    agent.websocket_handler = websocket
    client = await open_door(rules=InvocationRules(session_id="mine"))
    for headers, status, said in (
        ({SESSION_ID: "mine"}, 200, "mine"),
        ({}, 200, "mine"),
        ({SESSION_ID: "other"}, 403, "this process works for another session (OUTLAST_SESSION)"),
    ):
        answer = await client.ask("POST", "/invocations", data=b"{}", headers=headers)
        assert (answer.status, answer.json) == (status, said if status == 200 else {"error": said})
        assert await handshake(client, headers) == (101 if status == 200 else 403)


async def test_a_unix_socket_is_served(agent: Agent, open_door: Open) -> None:
    """Only this user may open it; nobody there counts as somebody on this machine; it is gone when the door is."""
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        path = Path(folder, "agent.sock")
        client = await open_door(socket=path, secret="s3cret")
        assert client.door.address == f"unix:{path}"
        assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path)), headers=KEY) as session:
            async with session.get("http://localhost/ping") as answer:
                assert answer.status == 200
            async with session.get("http://localhost/tasks") as answer:
                assert answer.status == 403
            async with session.get("http://localhost/tasks", headers={SESSION_ID: "mine"}) as answer:
                assert answer.status == 200
        await client.door.stop(1.0)
        assert not await asyncio.to_thread(path.exists)


async def test_a_socket_that_cannot_be_had_is_one_line(open_door: Open) -> None:
    """Cause and cure, whether the folder is missing or the path too long for the system."""
    client = await open_door()
    for path in (Path("/no/such/folder/agent.sock"), Path("/tmp") / ("x" * 200)):
        with pytest.raises(StartRefused, match="OUTLAST_FRONT_DOOR_SOCKET") as refused:
            await client.door.start_socket(path)
        assert "\n" not in str(refused.value)
