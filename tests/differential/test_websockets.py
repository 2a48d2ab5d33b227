"""WebSocket connections: what a client sees of handlers that talk, close, fail and leave."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .differences import lines_without
from .exchange import REQUEST_ID, Asked
from .pair import Pair
from .peer import Peer

Serve = Callable[..., Pair]

#: The last lines of conversations.
ESTABLISHED, DISCONNECTED = "WebSocket connection established", "WebSocket disconnected"
FAILED, NO_HANDLER = "WebSocket handler failed", "No WebSocket handler defined"
_numbers = itertools.count(1)


@dataclass
class Talk:
    """What a client heard."""

    #: The status of a refusal, and its body where the agent has written it; 101 for none.
    status: int = 101
    body: bytes = b""
    subprotocol: str | None = None
    own_header: str | None = None
    messages: list[str | bytes] = field(default_factory=list)
    #: The code and the reason that the server closed with; None where it broke the connection off.
    close: tuple[int, str] | None = None
    logged: list[dict[str, Any]] = field(default_factory=list)


async def _talk(peer: Peer, path: str, say: Sequence[str | bytes], leave: str, options: dict[str, Any]) -> Talk:
    host, port = peer.address
    talk = Talk()
    opening = connect(f"ws://{host}:{port}{path}", proxy=None, max_size=None, **options)
    try:
        async with asyncio.timeout(30), opening as socket:
            assert socket.response is not None
            talk.subprotocol, talk.own_header = socket.subprotocol, socket.response.headers.get("x-own")
            try:
                await _exchange(socket, say, talk.messages, leave)
            except ConnectionClosed as closed:
                talk.close = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None
    except InvalidStatus as refusal:
        talk.status, talk.body = refusal.response.status_code, bytes(refusal.response.body or b"")
    return talk


async def _exchange(socket: ClientConnection, say: Sequence[str | bytes], heard: list[str | bytes], leave: str) -> None:
    for message in say:
        await socket.send(message)
        heard.append(await socket.recv())
    match leave:
        case "":
            while True:
                heard.append(await socket.recv())
        case "answer":
            heard.append(await socket.recv())
            await socket.send("answer")
            await _exchange(socket, [], heard, "")
        case "vanish":
            socket.transport.abort()
            await socket.recv()
        case "close":
            await socket.close(4005, "enough")
            await socket.recv()
        case "close without a reason":
            await socket.close()
            await socket.recv()


def talk(
    peer: Peer, path: str, say: Sequence[str | bytes] = (), leave: str = "", *, last: str | None, **options: Any
) -> Talk:
    """Have one conversation with one side; return what was heard, and logged up to the message ``last``."""
    request_id = f"talk-{next(_numbers)}"
    headers = {REQUEST_ID: request_id, **options.pop("headers", {})}
    heard = asyncio.run(_talk(peer, path, say, leave, {"additional_headers": headers, **options}))
    if last is not None:  # a client may have its close before the handler has ended
        peer.process.wait_line(lambda line: (line.get("requestId"), line["message"]) == (request_id, last), last)
    own = [line for line in peer.logged() if line.get("requestId") == request_id]
    heard.logged = lines_without({**line, "requestId": ""} for line in own)
    return heard


def same(pair: Pair, path: str, *arguments: Any, last: str | None = ESTABLISHED, **options: Any) -> Talk:
    """Prove that both sides say and log the same; return it."""
    original, ours = (talk(peer, path, *arguments, last=last, **options) for peer in pair.peers)

    assert ours == original
    return original


@pytest.fixture
def pair(serve: Serve) -> Pair:
    """The program with all the handlers."""
    return serve("connections.py")


@pytest.mark.parametrize(
    ("handler", "say"),
    [
        ("echo", ["text", "", "Grüße 🙂", "x" * 200_000]),
        ("binary", [b"bytes", b"", bytes(range(256)), b"x" * 200_000]),
        ("json", ["1", "null", '{"ü": [1.5, "\\ud83d\\ude42"]}', "NaN"]),
    ],
)
def test_messages(pair: Pair, handler: str, say: Sequence[str | bytes]) -> None:
    """Messages of every kind go both ways, and a client that closes gets its own code back."""
    heard = same(pair, f"/ws?handler={handler}", say, "close")

    assert len(heard.messages) == len(say)


def test_what_a_handler_knows(pair: Pair) -> None:
    """Session, headers, query, sub-protocols and the rest of the connection are the same."""
    headers = {
        "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 33,
        "X-Amzn-Bedrock-AgentCore-Runtime-Custom-One": "one",
        "X-Custom": "own",
    }

    heard = same(
        pair,
        "/ws?handler=known&subprotocol=second&a=1&a=%C3%BC&empty=",
        headers=headers,
        subprotocols=["first", "second"],
    )

    assert (heard.subprotocol, heard.own_header, heard.close) == ("second", "1", (1000, ""))
    assert json.loads(heard.messages[0])["session"] == "s" * 33


@pytest.mark.parametrize(
    ("handler", "close", "last"),
    [
        ("closes", (4000, "so long"), ESTABLISHED),
        ("raises", (1011, ""), FAILED),
        ("raises_after_close", (4001, ""), FAILED),
        ("returns", None, ESTABLISHED),
        ("sends_no_text", (1011, ""), FAILED),
        (
            "hears_of_its_own_close",
            (4003, "mine"),
            "heard: [('code', 4003), ('reason', 'mine'), ('type', 'websocket.disconnect')]",
        ),
    ],
)
def test_how_a_handler_ends(pair: Pair, handler: str, close: tuple[int, str] | None, last: str) -> None:
    """The client sees the same end, and the log has the same lines."""
    assert same(pair, f"/ws?handler={handler}", last=last).close == close


@pytest.mark.parametrize("handler", ["closes_with_no_code", "closes_wordily"])
def test_a_close_that_is_none(pair: Pair, handler: str) -> None:
    """A close that RFC 6455 does not allow fails the handler and breaks the connection off; the words are our own."""
    original, ours = (talk(peer, f"/ws?handler={handler}", last=FAILED) for peer in pair.peers)

    assert original.close is None
    assert ours.close is None


@pytest.mark.parametrize(
    ("path", "status", "last"),
    [
        ("/ws?handler=raises_early", 403, FAILED),
        ("/ws?handler=returns_early", 500, ESTABLISHED),
        ("/ws?handler=refuses", 403, ESTABLISHED),
        ("/ws?handler=denies", 401, ESTABLISHED),
        ("/ws/?handler=echo", 403, None),
        ("/ping", 403, None),
        ("/invocations", 403, None),
        ("/nowhere", 403, None),
    ],
)
def test_refusals(pair: Pair, path: str, status: int, last: str | None) -> None:
    """Who is not let in gets the same status and the same body."""
    assert same(pair, path, last=last).status == status


def test_no_handler(serve: Serve) -> None:
    """Without a handler it is 403, and the same line says why."""
    heard = same(serve("bare.py"), "/ws", last=NO_HANDLER)

    assert heard.status == 403
    assert [line["message"] for line in heard.logged] == [NO_HANDLER]


@pytest.mark.parametrize("leave", ["close", "close without a reason"])
@pytest.mark.parametrize("handler", ["tells_how_it_ended", "sends_too_late"])
def test_a_client_that_leaves(pair: Pair, handler: str, leave: str) -> None:
    """The handler gets the same exception, with the client's code and reason."""
    same(pair, f"/ws?handler={handler}", [], leave, last=DISCONNECTED)


def test_a_message_of_the_wrong_kind(pair: Pair) -> None:
    """receive_bytes() of a text fails alike."""
    assert same(pair, "/ws?handler=expects_bytes", ["text"], last=FAILED).close == (1011, "")


def test_waiting_for_a_message_can_be_given_up(pair: Pair) -> None:
    """A receive under a timeout loses nothing of what comes after it."""
    heard = same(pair, "/ws?handler=gives_up_waiting", [], "answer")

    assert (heard.messages, heard.close) == (["nothing yet", "answer"], (1000, ""))


@pytest.mark.parametrize(("side", "code"), [("original", 1005), ("ours", 1006)])
def test_a_client_that_vanishes(pair: Pair, side: str, code: int) -> None:
    """A difference: a client that leaves without a word is 1006, as RFC 6455 has it; uvicorn says 1005."""
    peer = getattr(pair, side)

    talk(peer, "/ws?handler=tells_how_it_ended", [], "vanish", last=f"ended: {code} ")


def test_without_an_upgrade(pair: Pair) -> None:
    """A plain request for /ws finds nothing, with every method."""
    for method in ("GET", "POST", "HEAD"):
        assert pair.same(Asked(method, "/ws")).status == 404
