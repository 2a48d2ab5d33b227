"""What the API does with what nobody sends by mistake."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import re
from urllib.parse import quote

from .stage import ARN, SESSION, Stage

REQUESTS = 10_000
#: Connections at a time.
AT_ONCE = 8
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"

_PATHS = (
    "/runtimes/../../etc/passwd",
    "/runtimes/%2e%2e/invocations",
    "/runtimes/my_agent%00/invocations",
    f"/runtimes/{quote(quote(ARN, safe=''), safe='')}/invocations",
    f"/runtimes/{ARN}/../../sessions",
    "/runtimes/" + "a" * 9_000 + "/invocations",
    "/runtimes/%ff%fe/invocations",
    "/runtimes/my_agent/invocations?qualifier=%0d%0aX-Evil:1",
    "/runtimes/my_agent/invocations?accountId=" + "1" * 5_000,
    "/runtimes/my_agent/tasks/%2e%2e",
    "/sessions/my_agent/..%2f..%2fetc",
    "/sessions/%00/" + "x" * 40,
    "/sessions?state=%ff",
    "/sessions?pageSize=-1",
    "/runtimes/my_agent/ws",
    "//runtimes//my_agent",
    "/%",
    "*",
)
_HEADERS = (
    f"{SESSION_HEADER}: {'x' * 257}",
    f"{SESSION_HEADER}: short",
    f"{SESSION_HEADER}: {SESSION}\r\n{SESSION_HEADER}: {SESSION}",
    f"{SESSION_HEADER}: {SESSION}\rX-Evil: 1",
    f"{SESSION_HEADER} : {SESSION}",
    f"{SESSION_HEADER}: {SESSION}\r\n folded",
    "X-Outlast-Secret: guess",
    "Content-Length: -1",
    "Content-Length: 5, 6",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked\r\nContent-Length: 3",
    "Transfer-Encoding: chunked, identity",
    "Expect: nothing",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "baggage: " + "b" * 9_000,
    "X-Odd: \xff\xfe",
    "Host: evil.example",
    "Origin: null",
    "Big: " + "x" * 40_000,
    "no colon",
)
_METHODS = ("POST", "GET", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "inv\x01alid", "")


async def test_ten_thousand_malformed_requests(closed_stage: Stage) -> None:
    """Each is answered with an error in the API's shape or hung up on; no session begins, and nothing piles up."""
    stage = await closed_stage.open(io_timeout=0.2)
    port = int(stage.address.rpartition(":")[2])
    dice = random.Random(5)
    requests = iter([_malformed(dice) for _ in range(REQUESTS)])
    answered = 0

    async def send_all() -> None:
        nonlocal answered
        for request in requests:
            was_answered = await _send(port, request)
            answered += was_answered

    await _send(port, next(requests))
    gc.collect()
    before = len(gc.get_objects())
    await asyncio.gather(*(send_all() for _ in range(AT_ONCE)))
    await asyncio.sleep(0)
    gc.collect()

    assert answered > REQUESTS * 0.9
    assert not stage.sessions.live
    assert not stage.guest.requests
    assert len(gc.get_objects()) - before < REQUESTS / 2
    assert (await stage.ask("POST", "/runtimes/my_agent/invocations", data=b"{}")).status == 200


def _malformed(dice: random.Random) -> bytes:
    """Return a request with something wrong in its path at least: no session may begin with it."""
    headers = ["Host: localhost", "Connection: close", *dice.sample(_HEADERS, dice.randrange(3))]
    path = dice.choice(_PATHS)
    line = f"{dice.choice(_METHODS)} {path} HTTP/1.{dice.choice('01')}"
    request = "\r\n".join((line, *headers)).encode("latin-1") + b"\r\n\r\n" + dice.randbytes(dice.randrange(50))
    if not dice.randrange(10):
        position = dice.randrange(len(line))
        request = request[:position] + dice.randbytes(3) + request[position:]
    return request


async def _send(port: int, request: bytes) -> bool:
    """Tell whether there was an answer, which is a client error in the API's shape."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: ([0-9]+)", head)
            is_bodiless = request.startswith(b"HEAD") or length is None
            body = b"" if is_bodiless or length is None else await reader.readexactly(int(length[1]))
    except (ConnectionError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
    status = int(head.split()[1])
    assert status == 200 or 400 <= status < 500, head  # a list of no sessions is an answer, too
    assert status == 200 or b"\r\nx-amzn-ErrorType: " in head, head
    assert status == 200 or is_bodiless or json.loads(body)["message"]
    return True
