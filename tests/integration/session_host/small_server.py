"""AiohttpServer before whatever a test wants to serve, and boto3 as its client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import boto3
from botocore.config import Config

from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, refusal_response
from outlastd.session_host.api_error import ApiError

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-AbCdEf1234"
Handler = Callable[[Request], Awaitable[Response]]


class _Front:
    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle(self, request: Request) -> Response:
        try:
            return await self._handler(request)
        except ApiError as error:
            return error.response()
        except Refusal as refusal:
            return refusal_response(refusal)

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        raise AssertionError


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """Serve on a port of this machine."""
    server = AiohttpServer(_Front(handler))
    [(_, port)] = await server.listen("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop_listening()
        await server.close()


def boto3_client(port: int, **config: Any) -> Any:
    """Return a client for that port. It blocks: use it in threads."""
    return boto3.client(
        "bedrock-agentcore",
        region_name="us-west-2",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=Config(**config),
    )
