"""What /ws promises beyond the handler's interface: durability, limits, who is let in, the end of the server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from outlast.core.errors import TaskManagerUnavailable
from outlast.core.operation import Start
from outlast.telemetry import log
from outlastd.front_door import aiohttp_websocket, websocket_bridge
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Client, Connect, Open

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def _open(client: Client, **options: Any) -> connect:
    return connect(client.url.replace("http", "ws") + "/ws", proxy=None, **options)


async def _refused(client: Client, **options: Any) -> Response:
    with pytest.raises(InvalidStatus) as refused:
        await _open(client, **options).__aenter__()
    return refused.value.response


async def _close_code(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    return closed.value.rcvd.code if closed.value.rcvd else None


async def _listen(websocket: Any, context: Any) -> None:
    await websocket.accept()
    await websocket.send_text("ready")
    async for _ in websocket.iter_text():
        pass


async def test_a_message_waits_until_what_it_may_speak_of_is_durable(agent: Agent, open_door: Open) -> None:
    """Promise 1: a message is sent once every task started before it is on disk, those just created too."""
    agent.ledger.attach(lambda: None)
    asked: list[int] = []
    waits, confirmed = asyncio.Event(), asyncio.Event()
    background: list[asyncio.Task[None]] = []

    async def acknowledge(watermark: int) -> None:
        asked.append(watermark)
        if watermark:
            waits.set()
            await confirmed.wait()

    async def work() -> None:
        agent.ledger.start(Start("work"))

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        agent.ledger.start(Start("work"))
        background.append(asyncio.create_task(work()))
        await websocket.send_text("started")

    agent.durability.acknowledge = acknowledge
    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        received = asyncio.create_task(socket.recv())
        await waits.wait()
        assert (await client.get("/ping")).status == 200
        assert not received.done()
        confirmed.set()
        assert await received == "started"

    assert asked == [0, 2]


async def test_what_cannot_be_confirmed_is_not_sent(agent: Agent, open_door: Open, lines: Any) -> None:
    """Promise 1: tasks unconfirmed in time make the send raise; the client hears nothing of them, and gets 1011."""

    async def acknowledge(watermark: int) -> None:
        if watermark:
            raise TimeoutError

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        agent.ledger.start(Start("work"))
        await websocket.send_text("started")

    agent.ledger.attach(lambda: None)
    agent.durability.acknowledge = acknowledge
    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        assert await _close_code(socket) == 1011

    [line] = lines()
    assert line["errorType"] == "TaskManagerUnavailable"
    assert "has not confirmed within 10 s the tasks that were started" in line["errorMessage"]


async def test_a_task_manager_out_of_reach_is_503(agent: Agent, open_door: Open) -> None:
    """Promise 1: no handler runs whose tasks could not be kept; the client is told when to come again."""
    agent.durability.unavailable = TaskManagerUnavailable("the task manager is out of reach")
    agent.websocket_handler = _listen
    client = await open_door()

    refusal = await _refused(client)

    assert (refusal.status_code, refusal.headers["Retry-After"]) == (503, "1")
    assert b"out of reach" in (refusal.body or b"")


async def test_pages_of_other_origins_are_kept_out(agent: Agent, open_door: Open) -> None:
    """A WebSocket is not subject to the browser's same-origin rule: an Origin that is not allowed is 403, others go."""
    agent.websocket_handler = _listen
    client = await open_door(allowed_origins=["https://allowed.example"])

    refusal = await _refused(client, origin="https://evil.example")
    rebound = await client.ask(
        "GET",
        "/ws",
        headers={"Host": "evil.example", "Upgrade": "websocket", "Connection": "Upgrade"}
        | {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
    )
    async with _open(client, origin="https://allowed.example") as socket:
        assert await socket.recv() == "ready"

    assert (refusal.status_code, rebound.status) == (403, 403)
    assert b"OUTLAST_ALLOWED_ORIGINS" in (refusal.body or b"")


async def test_connections_are_bounded(agent: Agent, open_door: Open) -> None:
    """Beyond the limit a connection is told to come again with 429, and one that ends makes room."""
    agent.websocket_handler = _listen
    client = await open_door(rules=InvocationRules(max_invocations=2))

    async with _open(client) as one:
        await one.recv()
        async with _open(client) as other:
            await other.recv()
            refusal = await _refused(client)
            assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "1")
            assert b"2 WebSocket connections are open" in (refusal.body or b"")
        async with asyncio.timeout(10):
            while not await _let_in(client):
                pass


async def _let_in(client: Client) -> bool:
    try:
        async with _open(client):
            return True
    except InvalidStatus:
        return False


async def test_stop_tells_the_clients_and_the_handlers(agent: Agent, open_door: Open, lines: Any) -> None:
    """At the end of the server clients get 1012, handlers a disconnect with that code and time to clean up."""
    seen: list[Any] = []

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.send_text("ready")
        seen.append((await websocket.receive())["code"])
        await asyncio.to_thread(seen.append, "cleaned up")

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        await socket.recv()
        await client.door.stop(grace=10.0)
        assert await _close_code(socket) == 1012

    assert seen == [1012, "cleaned up"]
    assert lines() == []


async def test_stop_does_not_wait_for_ever(agent: Agent, open_door: Open, lines: Any) -> None:
    """A handler that takes no notice is cancelled after the grace, one that has not accepted yet too."""
    ended: list[str] = []
    entered = threading.Semaphore(0)

    async def handler(websocket: Any, context: Any) -> None:
        if "x-accept" in websocket.headers:
            await websocket.accept()
        entered.release()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client, additional_headers={"X-Accept": "yes"}) as socket:
        early = asyncio.create_task(_refused(client))
        for _ in range(2):
            assert await asyncio.to_thread(entered.acquire, timeout=5)
        async with asyncio.timeout(5):
            await client.door.stop(grace=0.05)
        assert await _close_code(socket) == 1012
        assert (await early).status_code == 403

    assert ended == ["cancelled", "cancelled"]
    assert lines() == []


async def test_lines_for_whoever_looks_for_a_fault(agent: Agent, open_door: Open, lines: Any) -> None:
    """At the level DEBUG connections and disconnects are said, in the original's words."""
    over = threading.Event()
    agent.websocket_handler = lambda websocket, context: _until_disconnect(websocket, over)
    client = await open_door()
    log.configure(level="DEBUG")
    try:
        async with _open(client):
            pass
        assert await asyncio.to_thread(over.wait, 5)
        said: list[str] = []
        while "WebSocket disconnected" not in said:
            said += [line["message"] for line in lines() if "WebSocket" in line["message"]]
    finally:
        log.configure(level="INFO")

    assert said == ["WebSocket connection established", "WebSocket disconnected"]


async def _until_disconnect(websocket: Any, over: threading.Event) -> None:
    await websocket.accept()
    try:
        await websocket.receive_text()
    finally:
        over.set()


async def test_a_client_is_not_read_further_than_it_is_listened_to(agent: Agent, open_door: Open) -> None:
    """What a client sends while nobody receives is read up to a bound; then the client has to wait."""
    entered, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        entered.set()
        await asyncio.to_thread(go_on.wait, 30)
        async for data in websocket.iter_bytes():
            sizes.append(len(data))
            if len(sizes) == 64:
                await websocket.send_text("all of it")

    agent.websocket_handler = handler
    client = await open_door()
    size = websocket_bridge.READ_AHEAD // 4

    async with _open(client, compression=None, write_limit=1) as socket:
        assert await asyncio.to_thread(entered.wait, 5)
        sent = await _send_until_stuck(socket, b"x" * size)
        assert sent < 64
        go_on.set()
        for _ in range(64 - sent):
            await socket.send(b"x" * size)
        assert await socket.recv() == "all of it"

    assert sizes == [size] * 64


async def _send_until_stuck(socket: ClientConnection, data: bytes) -> int:
    """Send until the other side takes no more; return how many were sent, among them the last, which is on its way."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 64:
            sent += 1
            async with asyncio.timeout(1):
                await socket.send(data)
    return sent


async def test_a_handler_is_not_faster_than_its_client(
    agent: Agent, open_door: Open, connect: Connect, lines: Any
) -> None:
    """A client that does not read holds the handler's send; its leaving ends that with a disconnect."""
    blocked, ended = threading.Event(), threading.Event()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        try:
            with contextlib.suppress(TimeoutError):
                while True:
                    await asyncio.wait_for(websocket.send_bytes(b"x" * 1_000_000), 1)
            blocked.set()
            await websocket.send_bytes(b"x")
        finally:
            ended.set()

    agent.websocket_handler = handler
    client = await open_door()
    connection = await connect(client, HANDSHAKE)

    assert await asyncio.to_thread(blocked.wait, 30)
    await connection.leave()
    assert await asyncio.to_thread(ended.wait, 5)

    assert lines() == []


async def test_a_silent_client_is_asked_whether_it_is_there(
    agent: Agent, open_door: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that answers pings stays; one that does not is taken for gone, and the handler hears of it."""
    monkeypatch.setattr(aiohttp_websocket, "HEARTBEAT", 0.05)
    codes: list[int] = []
    ended = threading.Event()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.send_text("ready")
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            codes.append(message["code"])
            ended.set()
        else:
            await websocket.send_text("still here")

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as lively:
        await lively.recv()
        dead = await connect(client, HANDSHAKE)
        assert await asyncio.to_thread(ended.wait, 5)
        await lively.send("hello")
        assert await lively.recv() == "still here"

    assert codes == [1006]
    assert dead.reader is not None


async def test_a_close_waits_for_its_answer(agent: Agent, open_door: Open, connect: Connect) -> None:
    """The connection stays open until the client has answered the close, so that nothing on its way is lost."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.close()

    agent.websocket_handler = handler
    client = await open_door()
    connection = await connect(client, HANDSHAKE)

    async with asyncio.timeout(5):
        await connection.reader.readuntil(b"\r\n\r\n")
        close = await connection.reader.readexactly(4)
        assert (await client.get("/ping")).status == 200
        connection.writer.write(b"\x82\x81\0\0\0\0x")  # a message that comes too late
        assert (await client.get("/ping")).status == 200
        assert not connection.reader.at_eof()
        connection.writer.write(b"\x88\x82\0\0\0\0" + (1000).to_bytes(2))
        rest = await connection.reader.read()

    assert (close, rest) == (b"\x88\x02" + (1000).to_bytes(2), b"")


async def test_a_client_that_does_not_answer_a_close_is_cut_off(
    agent: Agent, open_door: Open, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing handshake has a time limit."""
    monkeypatch.setattr(aiohttp_websocket, "CLOSE_TIMEOUT", 0.05)

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.close(4000, "so long")

    agent.websocket_handler = handler
    client = await open_door()
    connection = await connect(client, HANDSHAKE)

    async with asyncio.timeout(5):
        head = await connection.reader.readuntil(b"\r\n\r\n")
        rest = await connection.reader.read()

    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest == b"\x88\x09" + (4000).to_bytes(2) + b"so long"
