"""The common answers, which go out in one write of our own: what they say is what aiohttp would have said."""

from __future__ import annotations

import asyncio
import re

import pytest

from outlastd.front_door import aiohttp_server
from outlastd.front_door.aiohttp_plain import plain_response
from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
COMMON = [
    Response(200, b'{"a": 1}'),
    Response(200, b""),
    Response(429, b"no", "text/plain; charset=utf-8", {"Retry-After": "1"}),
    Response(299, b"unknown", "text/\u00e9"),
    Response(200, b"{}", headers={"X-Outlast-Task-Ids": "1,2", "X-Text": "gr\u00fcn"}),
]
LEFT_TO_AIOHTTP = [
    Response(204, b""),
    Response(200, b"untyped", None),
    Response(200, b"{}", headers={"Connection": "close"}),
    Response(200, b"{}", headers={"Server": "mine"}),
    Response(200, b"{}", headers={"Content-Type": "text/html"}),
    Response(200, b"{}", headers={"X-Tab": "a\tb"}),
    Response(200, b"x" * 70_000),
]


class Front:
    """Answers what it was given."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def handle(self, request: Request) -> Response:
        """Answer."""
        return self._response

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Not asked for."""
        raise NotImplementedError


async def _answer(response: Response, request: bytes) -> bytes:
    server = AiohttpServer(Front(response))
    ((_, port),) = await server.listen("127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"Content-Length: (\d+)", head)
        body = await reader.readexactly(int(size.group(1)) if size and not request.startswith(b"HEAD") else 0)
        writer.close()
        await writer.wait_closed()
    finally:
        await server.stop_listening()
        await server.close()
    return re.sub(rb"Date: [^\r]+", b"Date: now", head) + body


@pytest.mark.parametrize("response", COMMON + LEFT_TO_AIOHTTP)
@pytest.mark.parametrize("request_", [REQUEST, REQUEST.replace(b"GET", b"HEAD"), REQUEST.replace(b"1.1", b"1.0")])
async def test_every_answer_is_that_of_aiohttp(
    monkeypatch: pytest.MonkeyPatch, response: Response, request_: bytes
) -> None:
    """Head and body are byte for byte those that aiohttp makes of the same answer."""
    ours = await _answer(response, request_)
    monkeypatch.setattr(aiohttp_server, "plain_response", lambda _raw, _response: None)

    assert ours == await _answer(response, request_)


@pytest.mark.parametrize(("responses", "plain"), [(COMMON, True), (LEFT_TO_AIOHTTP, False)])
async def test_which_answers_are_common(
    monkeypatch: pytest.MonkeyPatch, responses: list[Response], plain: bool
) -> None:
    """An answer that aiohttp would weigh is left to it."""
    made: list[object] = []
    ours = plain_response

    def watched(raw: object, response: Response) -> object:
        made.append(ours(raw, response))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(aiohttp_server, "plain_response", watched)
    for response in responses:
        await _answer(response, REQUEST)

    assert [answer is not None for answer in made] == [plain] * len(responses)
