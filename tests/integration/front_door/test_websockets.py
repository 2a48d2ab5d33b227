"""A handler written for Starlette's WebSocket is served through /ws; with Starlette's class, and with ours."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import outlast.own_websocket
from outlast.context import current_invocation
from outlastd.front_door import aiohttp_websocket

from .conftest import Agent, Client, Open

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Own"


@pytest.fixture(params=["starlette", "own"])
def websockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the class that handlers get: Starlette's, or ours where there is no Starlette."""
    if request.param == "own":
        monkeypatch.setitem(sys.modules, "starlette.websockets", None)
        return outlast.own_websocket
    import starlette.websockets

    return starlette.websockets


def _open(client: Client, path: str = "/ws", **options: Any) -> connect:
    return connect(client.url.replace("http", "ws") + path, proxy=None, **options)


async def _close_of(socket: ClientConnection) -> tuple[int | None, str]:
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    return (closed.value.rcvd.code, closed.value.rcvd.reason) if closed.value.rcvd else (None, "")


async def _echo(websocket: Any, context: Any) -> None:
    await websocket.accept()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await websocket.send({**message, "type": "websocket.send"})


def _messages(lines: Callable[[], list[dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(line["level"], line["message"]) for line in lines()]


async def test_text_and_bytes_come_back_to_any_client(agent: Agent, open_door: Open, websockets: Any) -> None:
    """Texts and binary messages go both ways, through aiohttp's client as through the websockets library's."""
    agent.websocket_handler = _echo
    client = await open_door()

    async with _open(client) as socket:
        await socket.send("Grüße")
        await socket.send(b"\x00\xff")
        assert [await socket.recv(), await socket.recv()] == ["Grüße", b"\x00\xff"]
    async with client.session.ws_connect(f"{client.url}/ws") as other:
        await other.send_str("text")
        await other.send_bytes(b"bytes")
        assert (await other.receive_str(), await other.receive_bytes()) == ("text", b"bytes")
        await other.close(code=4000)

    assert other.close_code == 4000


async def test_json_and_iteration(agent: Agent, open_door: Open, websockets: Any) -> None:
    """receive_json, send_json in both modes and iter_json work as with Starlette; iteration ends with the client."""
    over = threading.Event()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.send_json({"first": await websocket.receive_json()})
        await websocket.send_json(await websocket.receive_json(mode="binary"), mode="binary")
        async for value in websocket.iter_json():
            await websocket.send_text(f"{value['n']}")
        over.set()

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        await socket.send('{"ü": 1}')
        await socket.send(b'"two"')
        await socket.send('{"n": 3}')
        await socket.send('{"n": 4}')
        assert [await socket.recv() for _ in range(4)] == ['{"first":{"ü":1}}', b'"two"', "3", "4"]
    assert await asyncio.to_thread(over.wait, 5)


async def test_the_handler_knows_its_request(agent: Agent, open_door: Open, websockets: Any) -> None:
    """The context has session and headers and is of the connection; the WebSocket has what Starlette's has."""
    seen: dict[str, Any] = {}

    async def handler(websocket: Any, context: Any) -> None:
        invocation = current_invocation.get()
        assert invocation is not None
        seen.update(
            session=context.session_id,
            headers=context.request_headers,
            same=context.request is websocket,
            bound=(invocation.session_id, invocation.credentials),
            own_header=websocket.headers["x-OWN"],
            query=dict(websocket.query_params),
            path=str(websocket.url).partition("/ws")[1:],
            peer=websocket.client.host,
            offered=websocket.scope["subprotocols"],
            type=type(websocket).__module__,
            thread=threading.current_thread().name,
        )
        websocket.state.own = "kept"
        await websocket.accept(subprotocol="second", headers=[(b"x-answer", b"yes")])
        await websocket.close()

    agent.websocket_handler = handler
    client = await open_door()
    headers = {SESSION: "s" * 33, CUSTOM: "custom", "X-Own": "own", "WorkloadAccessToken": "token"}

    async with _open(client, "/ws?a=1&b=", additional_headers=headers, subprotocols=["first", "second"]) as socket:
        assert await _close_of(socket) == (1000, "")
        assert socket.response is not None
        assert (socket.subprotocol, socket.response.headers["X-Answer"]) == ("second", "yes")

    assert seen == {
        "session": "s" * 33,
        "headers": {CUSTOM.lower(): "custom"} | {key: value for key, value in seen["headers"].items() if key != CUSTOM},
        "same": True,
        "bound": ("s" * 33, {"WorkloadAccessToken": "token"}),
        "own_header": "own",
        "query": {"a": "1", "b": ""},
        "path": ("/ws", "?a=1&b="),
        "peer": "127.0.0.1",
        "offered": ["first", "second"],
        "type": websockets.__name__,
        "thread": "outlast-agent",
    }


async def test_no_handler_is_403(agent: Agent, open_door: Open, lines: Any) -> None:
    """Without a handler the connection is refused with 403, and a line says why."""
    client = await open_door()

    with pytest.raises(InvalidStatus) as refused:
        await _open(client).__aenter__()

    assert refused.value.response.status_code == 403
    assert _messages(lines) == [("ERROR", "No WebSocket handler defined")]


@pytest.mark.parametrize("path", ["/", "/ping", "/invocations", "/ws/"])
async def test_no_other_path_is_a_websocket(agent: Agent, open_door: Open, path: str) -> None:
    """An upgrade of any other path is 403, as in the original."""
    agent.websocket_handler = _echo
    client = await open_door()

    with pytest.raises(InvalidStatus) as refused:
        await _open(client, path).__aenter__()

    assert refused.value.response.status_code == 403


async def test_without_an_upgrade_there_is_nothing(agent: Agent, open_door: Open) -> None:
    """A plain GET of /ws is 404, a broken handshake 400, one that is no GET 405; all as in the original."""
    agent.websocket_handler = _echo
    client = await open_door()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    old = upgrade | {"Sec-WebSocket-Version": "12", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}

    answers = [
        await client.get("/ws"),
        await client.ask("GET", "/ws", headers=upgrade),
        await client.ask("GET", "/ws", headers=old),
        await client.ask("POST", "/ws", headers=upgrade),
    ]

    assert [answer.status for answer in answers] == [404, 400, 400, 405]
    assert answers[0].body == b"Not Found"


async def test_exception_closes_with_1011(agent: Agent, open_door: Open, lines: Any, websockets: Any) -> None:
    """A handler that raises is logged with its error, and the client gets 1011; before the accept, 403."""

    async def handler(websocket: Any, context: Any) -> None:
        if "early" in websocket.query_params:
            raise ValueError("early")
        await websocket.accept()
        raise ValueError("late")

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client, additional_headers={SESSION: "the session"}) as socket:
        assert await _close_of(socket) == (1011, "")
    with pytest.raises(InvalidStatus) as refused:
        await _open(client, "/ws?early=1").__aenter__()

    assert refused.value.response.status_code == 403
    late, early = lines()
    assert {"WebSocket handler failed"} == {late["message"], early["message"]}
    assert (late["errorType"], late["errorMessage"], late["sessionId"]) == ("ValueError", "late", "the session")
    assert early["errorMessage"] == "early"


@pytest.mark.parametrize("failure", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_what_ends_a_program_ends_one_connection(agent: Agent, open_door: Open, failure: BaseException) -> None:
    """sys.exit() in a handler, or a cancel, closes its connection with 1011 and disturbs no other."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        if await websocket.receive_text() == "die":
            raise failure
        await websocket.send_text("alive")

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as one, _open(client) as other:
        await one.send("die")
        assert await _close_of(one) == (1011, "")
        await other.send("live")
        assert await other.recv() == "alive"


async def test_a_handler_has_to_be_async(agent: Agent, open_door: Open, lines: Any) -> None:
    """A def handler is refused at the connection, and the line names it and the cure."""

    def handler(websocket: Any, context: Any) -> None:
        """Do nothing."""

    agent.websocket_handler = handler
    client = await open_door()

    with pytest.raises(InvalidStatus) as refused:
        await _open(client).__aenter__()

    assert refused.value.response.status_code == 403
    [line] = lines()
    assert "handler is no coroutine function: define it with async def" in line["errorMessage"]


async def test_partials_and_callables_are_handlers(agent: Agent, open_door: Open) -> None:
    """Whatever returns an awaitable is a handler: a partial, an object with an async __call__, a lambda."""

    async def greet(websocket: Any, context: Any, *, name: str) -> None:
        await websocket.accept()
        await websocket.send_text(f"hello {name}")

    class Handler:
        async def __call__(self, websocket: Any, context: Any) -> None:
            await greet(websocket, context, name="object")

    client = await open_door()
    heard = []

    for handler in (functools.partial(greet, name="partial"), Handler(), lambda ws, c: greet(ws, c, name="lambda")):
        agent.websocket_handler = handler
        async with _open(client) as socket:
            heard.append(await socket.recv())

    assert heard == ["hello partial", "hello object", "hello lambda"]


async def test_handler_that_returns_breaks_the_connection_off(agent: Agent, open_door: Open, lines: Any) -> None:
    """A handler that returns without close() ends the connection without a close frame; without accept() it is 500."""

    async def handler(websocket: Any, context: Any) -> None:
        if "accept" in websocket.query_params:
            await websocket.accept()
            await websocket.send_text("bye")

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client, "/ws?accept=1") as socket:
        assert await socket.recv() == "bye"
        assert await _close_of(socket) == (None, "")
    with pytest.raises(InvalidStatus) as refused:
        await _open(client).__aenter__()

    assert refused.value.response.status_code == 500
    assert lines() == []


@pytest.mark.parametrize("manner", ["close", "abort"])
async def test_client_that_leaves_is_an_exception(
    agent: Agent, open_door: Open, lines: Any, websockets: Any, manner: str
) -> None:
    """receive_text raises WebSocketDisconnect with the client's code and reason; 1006 for one that vanished."""
    seen: list[Any] = []
    over = threading.Event()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.send_text("ready")
        try:
            await websocket.receive_text()
        except websockets.WebSocketDisconnect as error:
            seen.append((error.code, error.reason))
            raise
        finally:
            over.set()

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        await socket.recv()
        if manner == "close":
            await socket.close(4001, "enough")
        else:
            socket.transport.abort()
    assert await asyncio.to_thread(over.wait, 5)

    assert seen == [(4001, "enough") if manner == "close" else (1006, "")]
    assert lines() == []


async def test_sending_to_a_client_that_left_is_a_disconnect(
    agent: Agent, open_door: Open, lines: Any, websockets: Any
) -> None:
    """A send that nobody gets raises WebSocketDisconnect with 1006, which is no failure of the handler."""
    over, codes = threading.Event(), []

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        assert (await websocket.receive())["type"] == "websocket.disconnect"
        try:
            await websocket.send_text("is anybody there?")
        except websockets.WebSocketDisconnect as error:
            codes.append(error.code)
            raise
        finally:
            over.set()

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client):
        pass
    assert await asyncio.to_thread(over.wait, 5)

    assert codes == [1006]
    assert lines() == []


async def test_own_close_code_and_reason_reach_the_client(agent: Agent, open_door: Open, websockets: Any) -> None:
    """close() passes code and reason on, and the handler's next receive says the same."""
    heard: list[Any] = []
    over = threading.Event()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await websocket.close(4003, "done")
        heard.append(await websocket.receive())
        over.set()

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        assert await _close_of(socket) == (4003, "done")
    assert await asyncio.to_thread(over.wait, 5)

    assert heard == [{"type": "websocket.disconnect", "code": 4003, "reason": "done"}]


async def test_close_before_accept_is_403(agent: Agent, open_door: Open, lines: Any, websockets: Any) -> None:
    """A handler that closes before it accepts has refused the client."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.close(1008)

    agent.websocket_handler = handler
    client = await open_door()

    with pytest.raises(InvalidStatus) as refused:
        await _open(client).__aenter__()

    assert refused.value.response.status_code == 403
    assert lines() == []


async def test_denial_response(agent: Agent, open_door: Open) -> None:
    """Starlette's send_denial_response answers instead of the upgrade, with status, headers and body."""
    from starlette.responses import JSONResponse

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.receive()
        await websocket.send_denial_response(JSONResponse({"why": "not you"}, 401, {"x-own": "1"}))

    agent.websocket_handler = handler
    client = await open_door()

    with pytest.raises(InvalidStatus) as refused:
        await _open(client).__aenter__()

    response = refused.value.response
    assert (response.status_code, response.headers["x-own"], response.body) == (401, "1", b'{"why":"not you"}')


async def test_large_messages(agent: Agent, open_door: Open) -> None:
    """A message of 16 MiB goes both ways; one byte more ends the connection with 1009."""
    agent.websocket_handler = _echo
    client = await open_door()
    limit = aiohttp_websocket.MAX_MESSAGE

    async with _open(client, max_size=None, compression=None) as socket:
        await socket.send(b"x" * limit)
        assert len(await socket.recv()) == limit
        with contextlib.suppress(ConnectionClosed):  # the answer may come before it is sent
            await socket.send(b"x" * (limit + 1))
        assert (await _close_of(socket))[0] == 1009


async def test_pings_are_answered_while_the_handler_is_busy(agent: Agent, open_door: Open) -> None:
    """A client's ping gets its pong, and /ping its answer, though the handler blocks its loop."""
    entered, blocks = threading.Event(), threading.Lock()
    blocks.acquire()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        entered.set()
        with blocks:
            pass
        await websocket.send_text(await websocket.receive_text())

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        assert await asyncio.to_thread(entered.wait, 5)
        await socket.send("unread")
        async with asyncio.timeout(5):
            await (await socket.ping())
            assert (await client.get("/ping")).status == 200
        blocks.release()
        assert await socket.recv() == "unread"


async def test_a_receive_that_is_given_up_loses_no_message(agent: Agent, open_door: Open, websockets: Any) -> None:
    """A receive under a timeout can be tried again: what comes later is still there, in order."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(websocket.receive_text(), 0.01)
        await websocket.send_text("now")
        texts: list[str] = []
        while len(texts) < 100:
            try:
                texts.append(await asyncio.wait_for(websocket.receive_text(), 0.0001))
            except TimeoutError:
                continue
        await websocket.send_json(texts)

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        assert await socket.recv() == "now"
        sent = [str(number) for number in range(100)]
        for text in sent:
            await socket.send(text)
        assert await socket.recv() == '["' + '","'.join(sent) + '"]'


async def test_reader_and_writer_at_the_same_time(agent: Agent, open_door: Open) -> None:
    """A handler may receive in one task and send in others; what one of them sends keeps its order."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()

        async def write() -> None:
            for number in range(200):
                await websocket.send_text(str(number))

        writing = asyncio.create_task(write())
        async for text in websocket.iter_text():
            await websocket.send_text(text)
        await writing

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        for number in range(200):
            await socket.send(f"echo {number}")
        heard = [str(await socket.recv()) for _ in range(400)]

    assert [text for text in heard if not text.startswith("echo")] == [str(number) for number in range(200)]
    assert [text for text in heard if text.startswith("echo")] == [f"echo {number}" for number in range(200)]


async def test_a_tool_on_a_loop_of_its_own_may_send(agent: Agent, open_door: Open) -> None:
    """send_text works from another loop, as agent frameworks run tools on one."""

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()
        await asyncio.to_thread(lambda: asyncio.run(websocket.send_text("from the tool")))

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        assert await socket.recv() == "from the tool"


async def test_what_a_handler_leaves_behind_ends(agent: Agent, open_door: Open) -> None:
    """A receive that goes on after the handler has returned hears of the end, and a send fails."""
    heard: list[Any] = []
    over = threading.Event()
    left: set[asyncio.Task[None]] = set()

    async def handler(websocket: Any, context: Any) -> None:
        await websocket.accept()

        async def left_behind() -> None:
            heard.append((await websocket.receive())["type"])
            try:
                await websocket.send_text("too late")
            except Exception as error:
                heard.append(type(error).__name__)
            over.set()

        left.add(asyncio.create_task(left_behind()))
        await asyncio.sleep(0)

    agent.websocket_handler = handler
    client = await open_door()

    async with _open(client) as socket:
        await _close_of(socket)
    assert await asyncio.to_thread(over.wait, 5)

    assert heard == ["websocket.disconnect", "WebSocketDisconnect"]


async def test_errors_of_misuse_name_the_cure(agent: Agent, open_door: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own class says what is wrong and what to do instead."""
    monkeypatch.setitem(sys.modules, "starlette.websockets", None)
    errors: list[str] = []
    over = threading.Event()

    async def attempt(steps: Any) -> None:
        try:
            await steps
        except Exception as error:
            errors.append(str(error))

    async def handler(websocket: Any, context: Any) -> None:
        await attempt(websocket.receive_text())
        await attempt(websocket.send_text("x"))
        await websocket.accept()
        await attempt(websocket.accept())
        await attempt(websocket.receive_bytes())
        await attempt(websocket.send_json({}, mode="xml"))
        await websocket.close()
        await attempt(websocket.send_text("x"))
        over.set()

    agent.websocket_handler = handler
    client = await open_door()

    async with client.session.ws_connect(f"{client.url}/ws") as socket:
        await socket.send_str("text")
        assert (await socket.receive()).type is WSMsgType.CLOSE
    assert await asyncio.to_thread(over.wait, 5)

    assert errors == [
        "the connection is not open yet: await websocket.accept() first",
        "the connection is not open yet: await websocket.accept() first",
        "websocket.accept comes too late: the connection has been accepted",
        "a text came where a binary message was expected: take it with receive_text()",
        "mode is 'xml'; it can be 'text' or 'binary'",
        "the connection is closed: nothing can be sent any more",
    ]


async def test_sub_protocols_are_the_handlers_to_accept(agent: Agent, open_door: Open, lines: Any) -> None:
    """A client that offers sub-protocols of which none is accepted is connected without one, and nothing is logged."""
    agent.websocket_handler = _echo
    client = await open_door()

    async with client.session.ws_connect(f"{client.url}/ws", protocols=["a", "b"]) as socket:
        assert socket.protocol is None

    assert isinstance(socket, aiohttp.ClientWebSocketResponse)
    assert lines() == []
