"""A server that lets in whoever may call and says who it was, clients of it, and requests signed by boto3."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from multidict import CIMultiDict
from yarl import URL

from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.denial import deny
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, json_response
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.auth.authenticator import CallerAuthenticator
from outlastd.session_host.principal import Principal

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-AbCdEf1234"
SESSION = "session-of-at-least-33-characters-1"
ACCESS_KEY, SECRET = "AKIDEXAMPLE", "a-secret"
NOTHING = hashlib.sha256(b"").hexdigest()


class Gate:
    """A Front that asks the authenticator, as the API does, and answers with the principal."""

    def __init__(self, authenticator: CallerAuthenticator) -> None:
        self.authenticator = authenticator
        #: The requests of which the body was read.
        self.bodies = 0

    async def handle(self, request: Request) -> Response:
        """Say who it was."""
        try:
            claim = await self.authenticator.read(request)
            body = await request.read(1024 * 1024)
            self.bodies += 1
            return json_response(_told(claim.prove(hashlib.sha256(body).hexdigest())))
        except ApiError as error:
            return error.response()

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Say who it was, in a message."""
        await receive()
        try:
            principal = (await self.authenticator.read(request)).prove(NOTHING)
        except ApiError as error:
            await deny(Refusal(error.status, error.message), request.scope, send)
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(_told(principal))})
        await send({"type": "websocket.close", "code": 1000})


def _told(principal: Principal) -> dict[str, Any]:
    return {
        "name": principal.name,
        "operator": principal.operator,
        "prefix": principal.session_prefix,
        "user": principal.user,
    }


class ShiftedClock:
    """The machine's clock, moved by a test."""

    def __init__(self) -> None:
        self.by = timedelta()

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC) + self.by

    def monotonic(self) -> float:
        """Return seconds."""
        return asyncio.get_running_loop().time() + self.by.total_seconds()

    async def sleep(self, seconds: float) -> None:
        """Nobody here waits."""
        raise NotImplementedError


@dataclass
class Served:
    """A gate on a port, and a session to ask it with."""

    gate: Gate
    port: int
    session: aiohttp.ClientSession
    clock: ShiftedClock

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, target: str, headers: Any = None, body: bytes = b"") -> Answer:
        """Send a request as it is: nothing is normalised, nothing added but the length of the body."""
        headers = CIMultiDict(headers or {})
        headers.popall("Content-Length", None)
        async with self.session.request(
            method,
            URL(self.url + target, encoded=True),
            headers=headers,
            data=body,
            skip_auto_headers=["Content-Type", "User-Agent", "Accept"],
            allow_redirects=False,
        ) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def send(self, signed: SignedRequest) -> Answer:
        """Send a signed request."""
        return await self.ask(signed.method, signed.target, signed.headers, signed.body)


@dataclass
class Answer:
    """What came back."""

    status: int
    json: Any
    headers: Any


@dataclass
class SignedRequest:
    """A request that boto3 has signed, and that a test may alter."""

    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes = b""


@dataclass
class Boto:
    """boto3's client for a server, unmodified."""

    url: str
    access_key: str = ACCESS_KEY
    secret: str = SECRET
    region: str = "us-west-2"
    token: str | None = None
    sent: list[AWSPreparedRequest] = field(default_factory=list)

    def client(self) -> Any:
        """Return a client; it blocks."""
        return boto3.client(
            "bedrock-agentcore",
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret,
            aws_session_token=self.token,
        )

    async def call(self, operation: str, **parameters: Any) -> Any:
        """Call an operation; return its result."""
        return await asyncio.to_thread(lambda: getattr(self.client(), operation)(**parameters))

    async def invoke(self, payload: bytes = b"{}", **parameters: Any) -> Any:
        """Invoke an agent; return what the gate said."""

        def invoke() -> Any:
            answer = self.client().invoke_agent_runtime(
                **{"agentRuntimeArn": ARN, "runtimeSessionId": SESSION, "payload": payload} | parameters
            )
            return json.loads(answer["response"].read())

        return await asyncio.to_thread(invoke)

    async def sign(self, payload: bytes = b"{}", **parameters: Any) -> SignedRequest:
        """Return the request of an invocation as boto3 would send it."""
        caught: list[AWSPreparedRequest] = []

        def catch(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            caught.append(request)
            return AWSResponse(request.url, 200, {"content-type": "application/json"}, _Raw())

        def invoke() -> None:
            client = self.client()
            client.meta.events.register("before-send.bedrock-agentcore.*", catch)
            client.invoke_agent_runtime(
                **{"agentRuntimeArn": ARN, "runtimeSessionId": SESSION, "payload": payload} | parameters
            )

        await asyncio.to_thread(invoke)
        request = caught[0]
        headers = {name: _text(value) for name, value in request.headers.items()}
        return SignedRequest(
            request.method, request.url.removeprefix(self.url), CIMultiDict(headers), bytes(request.body or b"")
        )


class _Raw:
    """A body without anything."""

    def stream(self, *_: Any) -> Iterable[bytes]:
        return ()

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    def close(self) -> None:
        pass


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


Serve = Callable[..., Awaitable[Served]]
