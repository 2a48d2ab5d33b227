"""What an agent answers, as an answer of ours: whole when it is small, else piece by piece as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientError, ClientResponse, hdrs

from outlastd.front_door.response import Response
from outlastd.session_host.api_error import ApiError, agent_failed
from outlastd.session_host.asking import ask
from outlastd.session_host.forwarding import passable, to_client
from outlastd.session_host.relay import Relay, Sent, Tell
from outlastd.session_host.use import Use

#: Bytes of an answer that is read before it is passed on: what fails until then is told by a status.
MAX_WHOLE = 1024 * 1024
#: Bytes of an error's body that are looked at, seconds that it may take, and characters of it that are passed on.
MAX_ERROR = 64 * 1024
ERROR_TIMEOUT = 5.0
MAX_SAID = 1_000


async def answer_of(
    use: Use,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str],
    data: Any = None,
    timeout: float,
    tell: Tell,
) -> Response:
    """Ask the agent as ``GuestClient.request`` does, and return what it answers; ``tell`` hears of the end of that.

    Raises:
        ApiError: it has not begun to answer within ``timeout`` seconds, or answers with a status that is no success.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stay:

        async def begin() -> tuple[ClientResponse, bytes | None]:
            answer = await stay.enter_async_context(use.guest.request(method, path, headers=headers, data=data))
            return answer, await _beginning(answer)

        answer, body = await ask(use, begin(), timeout)
        if body is None:
            relay = Relay(answer, asyncio.ensure_future(use.until_ended()), stay.pop_all(), tell)
            return _response(answer, relay)
    if not 200 <= answer.status < 300:
        raise _failure(answer, body)
    tell(Sent(time.monotonic() - began, len(body), len(body), streamed=False))
    return _response(answer, body)


def _response(answer: ClientResponse, body: bytes | Relay) -> Response:
    headers = to_client(answer.headers)
    if not isinstance(body, bytes) and answer.content_length is not None:
        headers[hdrs.CONTENT_LENGTH] = str(answer.content_length)
    return Response(answer.status, body, passable(answer.headers, hdrs.CONTENT_TYPE), headers)


async def _beginning(answer: ClientResponse) -> bytes | None:
    """Return the body of a small answer, the beginning of an error's, and None for what is passed on as it comes."""
    if 200 <= answer.status < 300:
        length = 0 if answer.status in (204, 205) else answer.content_length
        return await answer.read() if length is not None and length <= MAX_WHOLE else None
    body = b""
    with contextlib.suppress(TimeoutError, ClientError):
        async with asyncio.timeout(ERROR_TIMEOUT):
            while len(body) < MAX_ERROR and (piece := await answer.content.readany()):
                body += piece
    return body


def _failure(answer: ClientResponse, body: bytes) -> ApiError:
    message = f"Received error ({answer.status}) from runtime. Please check your CloudWatch logs for more information"
    said = _said(body[:MAX_ERROR], answer.content_type)
    failure = agent_failed(f"{message}: {said}" if said else message)
    failure.headers |= to_client(answer.headers)
    failure.headers.pop(hdrs.CONTENT_ENCODING, None)
    return failure


def _said(body: bytes, kind: str) -> str:
    """Return what the body of an error says to people, in a few words; empty for nothing."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = body.decode("utf-8", "replace") if kind.startswith("text/plain") else ""
    if isinstance(said, dict):
        words = (said.get(name) for name in ("error", "message", "detail", "details"))
        said = ": ".join(word for word in words if isinstance(word, str))
    if not isinstance(said, str):
        return ""
    said = " ".join(said.split())
    return said if len(said) <= MAX_SAID else f"{said[:MAX_SAID]}…"
