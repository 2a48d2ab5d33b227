"""boto3 asks again when it is told nothing for long: the agent runs once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from typing import Any, cast

import aiohttp
import pytest
from botocore.exceptions import ClientError

from outlast.headers import SESSION_ID
from outlastd.front_door.request import Request
from outlastd.front_door.response import EVENT_STREAM, Chunks, Response
from outlastd.session_host.api_error import agent_failed, busy
from outlastd.session_host.repeat_key import RepeatKey
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.spool import spool

from .small_server import ARN, boto3_client, serving

SESSION = "a-session-of-boto3-with-an-id-of-its-own"


class Host:
    """Passes invocations on to a run that the test makes, through repeats."""

    def __init__(self) -> None:
        self.repeats = Repeats(300.0, 10_000_000, linger=5.0)
        self.run: Any = None
        self.runs = 0
        self.attempts: list[str] = []
        #: Set when the client has asked twice.
        self.second = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        """Answer one attempt."""
        self.attempts.append(request.headers["amz-sdk-request"])
        if len(self.attempts) == 2:
            self.second.set()
        body = await spool(request, 100_000_000)

        mine = False

        async def run() -> Response:
            nonlocal mine
            mine = True
            self.runs += 1
            try:
                response: Response = await self.run(body)
            finally:
                await body.close()
            return response

        headers = request.headers
        key = RepeatKey("me", ARN, headers[SESSION_ID], headers["amz-sdk-invocation-id"], body.sha256)
        try:
            return await self.repeats.answer(key, run)
        finally:
            if not mine:
                await body.close()


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """A host whose run the test makes."""
    host = Host()
    yield host
    await host.repeats.close()


async def invoke(port: int, payload: bytes = b"{}", **config: Any) -> bytes:
    """Invoke through boto3, and read all of the answer."""

    def call() -> bytes:
        with closing(boto3_client(port, **config)) as client:
            answer = client.invoke_agent_runtime(agentRuntimeArn=ARN, payload=payload, runtimeSessionId=SESSION)
            data: bytes = answer["response"].read()
            return data

    return await asyncio.to_thread(call)


async def test_a_client_that_does_not_wait(host: Host) -> None:
    """A run that outlasts the client's patience runs once: its repeat gets the first run's answer."""

    async def run(body: Any) -> Response:
        await host.second.wait()
        return Response(200, b"run %d" % host.runs)

    host.run = run
    async with serving(host.handle) as port:
        assert await invoke(port, read_timeout=1) == b"run 1"

    assert host.runs == 1
    assert host.attempts[:2] == ["attempt=1; max=3", "attempt=2; max=3"]


async def test_a_stream_that_is_silent_at_first(host: Host) -> None:
    """A repeat gets a stream from its start."""

    async def run(body: Any) -> Response:
        await host.second.wait()

        async def events() -> AsyncGenerator[bytes, None]:
            for number in range(3):
                yield b"data: %d\n\n" % number

        return Response(200, cast(Chunks, events()), EVENT_STREAM)

    host.run = run
    async with serving(host.handle) as port:
        assert await invoke(port, read_timeout=1) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"

    assert host.runs == 1


async def test_a_large_payload(host: Host) -> None:
    """Every repeat sends its payload again; the run sees the first one's, whole."""
    payload = b"".join(index.to_bytes(4, "big") for index in range(1_000_000))

    async def run(body: Any) -> Response:
        await host.second.wait()
        digest = hashlib.sha256()
        async for chunk in body.chunks():
            digest.update(chunk)
        return Response(200, digest.hexdigest().encode() + b" %d" % body.size)

    host.run = run
    async with serving(host.handle) as port:
        answer = await invoke(port, payload, read_timeout=1)

    assert answer == hashlib.sha256(payload).hexdigest().encode() + b" 4000000"
    assert host.runs == 1


async def test_an_error_that_clients_repeat(host: Host) -> None:
    """While a session starts the agent has not run: the repeat runs it."""

    async def run(body: Any) -> Response:
        if host.runs == 1:
            raise busy()
        return Response(200, b"run %d" % host.runs)

    host.run = run
    async with serving(host.handle) as port:
        assert await invoke(port) == b"run 2"


async def test_an_error_of_the_agent(host: Host) -> None:
    """boto3 raises it, and does not ask again."""

    async def run(body: Any) -> Response:
        raise agent_failed("Received error (500) from runtime")

    host.run = run
    async with serving(host.handle) as port:
        with pytest.raises(ClientError) as raised:
            await invoke(port)

    assert raised.value.response["Error"]["Code"] == "RuntimeClientError"
    assert (host.runs, len(host.attempts)) == (1, 1)


async def test_a_repeat_of_a_large_answer(host: Host) -> None:
    """It comes from the disk with its length, byte for byte the same."""
    large = b"".join(index.to_bytes(4, "big") for index in range(100_000))

    async def run(body: Any) -> Response:
        return Response(200, large, headers={"x-one": "1"})

    host.run = run
    headers = {SESSION_ID: SESSION, "amz-sdk-invocation-id": "one", "amz-sdk-request": "attempt=1"}
    async with serving(host.handle) as port, aiohttp.ClientSession(headers=headers) as session:
        for _ in range(3):
            async with session.post(f"http://127.0.0.1:{port}/", data=b"{}") as answer:
                assert await answer.read() == large
                assert (answer.headers["Content-Length"], answer.headers["x-one"]) == (str(len(large)), "1")

    assert host.runs == 1


async def test_a_client_that_leaves_a_stream_and_comes_back(host: Host) -> None:
    """The stream goes on for a while without it, and is there from the start when it asks again."""
    goes_on = asyncio.Event()

    async def run(body: Any) -> Response:
        async def events() -> AsyncGenerator[bytes, None]:
            yield b"data: 1\n\n"
            await goes_on.wait()
            yield b"data: 2\n\n"

        return Response(200, cast(Chunks, events()), EVENT_STREAM)

    host.run = run
    headers = {SESSION_ID: SESSION, "amz-sdk-invocation-id": "one", "amz-sdk-request": "attempt=1"}
    async with serving(host.handle) as port, aiohttp.ClientSession(headers=headers) as session:
        url = f"http://127.0.0.1:{port}/"
        async with session.post(url, data=b"{}") as first:
            assert await first.content.readany() == b"data: 1\n\n"
            first.close()
        async with session.post(url, data=b"{}") as again:
            assert await again.content.readany() == b"data: 1\n\n"
            goes_on.set()
            assert await again.read() == b"data: 2\n\n"

    assert host.runs == 1
