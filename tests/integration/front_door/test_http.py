"""What is no proper request is a clear 4xx, and the server keeps serving."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from outlast.core.errors import StartRefused
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Client, Connect, Open


async def _status_and_body(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    return int(head.split(" ")[1]), json.loads(body) if "json" in head else body


async def _still_serves(client: Client) -> bool:
    return (await client.get("/ping")).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allow", "body"),
    [
        ("GET", "/invocations", 405, "POST", b"Method Not Allowed"),
        ("POST", "/ping", 405, "GET, HEAD", b"Method Not Allowed"),
        ("POST", "/tasks/1", 405, "DELETE, GET, HEAD", b"Method Not Allowed"),
        ("GET", "/tasks/1/cancel", 405, "POST", b"Method Not Allowed"),
        ("GET", "/", 404, None, b"Not Found"),
        ("GET", "/tasks/1/unknown", 404, None, b"Not Found"),
        ("POST", "/invocations/x", 404, None, b"Not Found"),
    ],
)
async def test_wrong_method_and_unknown_path(
    open_door: Open, method: str, path: str, status: int, allow: str | None, body: bytes
) -> None:
    """A wrong method is 405 with Allow, an unknown path 404, both in plain text as in the original."""
    client = await open_door()

    answer = await client.ask(method, path)

    assert (status, allow, body) == (answer.status, answer.headers.get("Allow"), answer.body)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /ping HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX-Own: \xff\xfe\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
async def test_malformed_http_is_a_clean_4xx(
    agent: Agent, open_door: Open, connect: Connect, lines: Any, sent: bytes, status: int
) -> None:
    """What is no HTTP, or not in bounds, is answered in the contract's shape, with no line in the log."""
    agent.entrypoint_handler = lambda payload: payload
    client = await open_door()
    connection = await connect(client, sent)

    async with asyncio.timeout(10):
        answered, body = await _status_and_body(connection.reader)

    assert answered == status
    assert "error" in body
    assert lines() == []
    assert await _still_serves(client)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_413(agent: Agent, open_door: Open, chunked: bool) -> None:
    """A body over the limit is refused, announced or not, and one at the limit is not."""
    agent.entrypoint_handler = len
    client = await open_door(rules=InvocationRules(max_body_bytes=10))

    async def body() -> Any:
        yield b'"123456789"'

    over = await client.ask("POST", "/invocations", data=body() if chunked else b'"123456789"')
    at = await client.ask("POST", "/invocations", data=b'"12345678"')

    assert (over.status, list(over.json)) == (413, ["error"])
    assert (at.status, at.json) == (200, 8)


async def test_a_large_body_arrives_whole(agent: Agent, open_door: Open) -> None:
    """A body of megabytes is read piece by piece."""
    agent.entrypoint_handler = len
    client = await open_door()

    answer = await client.ask("POST", "/invocations", data=io.BytesIO(b'"%b"' % (b"x" * 3_000_000)))

    assert answer.json == 3_000_000


async def test_a_body_that_does_not_come_is_408(agent: Agent, open_door: Open, connect: Connect) -> None:
    """A client that stops within its body is told so after a while."""
    client = await open_door(io_timeout=0.05)
    connection = await connect(client, b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

    async with asyncio.timeout(10):
        status, body = await _status_and_body(connection.reader)

    assert (status, list(body)) == (408, ["error"])


async def test_a_client_that_leaves_within_its_body_is_no_news(
    agent: Agent, open_door: Open, connect: Connect, lines: Any
) -> None:
    """A request that is broken off is dropped without a line."""
    ran: list[Any] = []
    agent.entrypoint_handler = ran.append
    client = await open_door()
    connection = await connect(client, b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    await _still_serves(client)
    await connection.leave()

    assert await _still_serves(client)
    assert (ran, lines()) == ([], [])


async def test_expect_100_continue_is_answered(agent: Agent, open_door: Open, connect: Connect) -> None:
    """A client that asks before it sends its body is told to go on, as curl does with large ones."""
    agent.entrypoint_handler = lambda payload: payload
    client = await open_door()
    connection = await connect(
        client,
        b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    )

    async with asyncio.timeout(10):
        told = await connection.reader.readuntil(b"\r\n\r\n")
        connection.writer.write(b"42")
        answer = await _status_and_body(connection.reader)

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer == (200, 42)


async def test_an_absolute_target_and_an_encoded_path_are_understood(open_door: Open, connect: Connect) -> None:
    """A proxy's absolute request target and percent-encoding lead to the same path."""
    client = await open_door()
    connection = await connect(client, b"GET http://localhost/p%69ng HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async with asyncio.timeout(10):
        status, body = await _status_and_body(connection.reader)

    assert (status, body["status"]) == (200, "Healthy")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.1", "[::2]"])
async def test_a_foreign_host_is_403_on_a_loopback_listener(open_door: Open, host: str) -> None:
    """A name that is not this machine's own is how a page's DNS tricks show."""
    client = await open_door()

    answer = await client.get("/ping", Host=host)

    assert answer.status == 403
    assert "OUTLAST_ALLOWED_HOSTS" in answer.json["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:8080"])
async def test_loopback_names_are_let_in(open_door: Open, host: str) -> None:
    """Every name of this machine for itself is fine, with any port."""
    client = await open_door()

    assert (await client.get("/ping", Host=host)).status == 200


async def test_any_host_is_let_in_beyond_loopback(open_door: Open) -> None:
    """A listener that others can reach is called by names that it does not know."""
    client = await open_door("0.0.0.0")

    assert (await client.get("/ping", Host="agent.example")).status == 200


async def test_origins_are_refused_unless_allowed(agent: Agent, open_door: Open) -> None:
    """A web page may talk to the agent only when its origin is on the list; then its browser lets it read."""
    agent.entrypoint_handler = lambda payload: payload
    client = await open_door(allowed_origins=("https://good.example",))

    refused = await client.ask("POST", "/invocations", data=b"1", headers={"Origin": "https://evil.example"})
    allowed = await client.ask("POST", "/invocations", data=b"1", headers={"Origin": "https://good.example"})
    preflight = await client.ask(
        "OPTIONS",
        "/invocations",
        headers={"Origin": "https://good.example", "Access-Control-Request-Method": "POST"},
    )

    assert refused.status == 403
    assert "OUTLAST_ALLOWED_ORIGINS" in refused.json["error"]
    assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (200, "https://good.example")
    assert (preflight.status, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET, POST, DELETE")


async def test_a_taken_port_is_one_line(open_door: Open) -> None:
    """A port that is taken refuses the start with address, cause and cure; searching finds the next free one."""
    first, second = await open_door(), await open_door()
    await second.door.stop(0.1)

    with pytest.raises(StartRefused) as refused:
        await second.door.start("127.0.0.1", first.door.port)
    await second.door.start("127.0.0.1", first.door.port, search=True)

    assert refused.value.message == (
        f"the front door cannot listen on 127.0.0.1:{first.door.port}: the port is taken by another program; "
        "choose another address with OUTLAST_HOST and OUTLAST_PORT"
    )
    assert first.door.port < second.door.port <= first.door.port + 20


async def test_a_host_that_is_none_is_one_line(open_door: Open) -> None:
    """An address that this machine does not have refuses the start."""
    client = await open_door()
    await client.door.stop(0.1)

    with pytest.raises(StartRefused, match=r"cannot listen on 192\.0\.2\.1:0: "):
        await client.door.start("192.0.2.1", 0)
    await client.door.start("127.0.0.1", 0)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/invocations/", "/invocations"),
        ("/ping//", "/ping"),
        ("/ping/?a=b%20c&d=", "/ping?a=b%20c&d="),
    ],
)
async def test_slashes_at_the_end_of_a_path_are_redirected(
    agent: Agent, open_door: Open, connect: Connect, method: str, path: str, place: str
) -> None:
    """A path that is wrong by slashes at its end only is 307 to the right one, as with the original."""
    connection = await connect(await open_door(), f"{method} {path} HTTP/1.1\r\nHost: localhost:7\r\n\r\n".encode())

    head = (await connection.reader.readuntil(b"\r\n\r\n")).decode().lower()

    assert head.startswith("http/1.1 307 ")
    assert f"location: http://localhost:7{place}\r\n".lower() in head
