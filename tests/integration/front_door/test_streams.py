"""Streaming invocations: errors, silence, back-pressure, durability, and clients that leave."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from outlast.context import current_invocation
from outlast.core.operation import Start
from outlast.tasks.item_stream import AHEAD
from outlast.telemetry import records
from outlastd.front_door import invocations
from outlastd.front_door.request import Request
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Connect, Open

POST_TRUE = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ntrue"


def _failing(payload: Any) -> Iterator[Any]:
    yield 1
    raise RuntimeError("broke")


async def _async_failing(payload: Any) -> AsyncIterator[Any]:
    yield 1
    raise RuntimeError("broke")


def _many(payload: Any) -> Iterator[Any]:
    for number in range(500):
        yield [number, current_invocation.get() is not None]


async def _async_many(payload: Any) -> AsyncIterator[Any]:
    for item in _many(payload):
        yield item


async def _returns_many(payload: Any) -> Any:
    return _many(payload)


@pytest.mark.parametrize("handler", [_many, _async_many, _returns_many, lambda payload: _async_many(payload)])
async def test_items_keep_their_order_and_their_context(agent: Agent, open_door: Open, handler: Any) -> None:
    """A stream longer than what may be ahead arrives whole, made in the invocation's context from first to last.

    It tells proxies not to gather it.
    """
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()
    events = answer.body.split(b"\n\n")

    assert answer.headers["X-Accel-Buffering"] == "no"
    assert events == [b"data: [%d, true]" % number for number in range(500)] + [b""]


async def test_a_stream_reaches_a_client_of_http_1_0(agent: Agent, open_door: Open, connect: Connect) -> None:
    """Without chunks in the protocol the end of the connection is the end of the stream."""
    agent.entrypoint_handler = _failing
    client = await open_door()
    connection = await connect(client, b"POST /invocations HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")

    async with asyncio.timeout(10):
        read = await connection.reader.read()

    assert b"\r\n\r\ndata: 1\n\ndata: {" in read


@pytest.mark.parametrize(
    ("handler", "kind"), [(_failing, "sync"), (_async_failing, "sync"), (lambda p: _async_failing(p), "async")]
)
async def test_an_error_in_a_stream_is_its_last_event(
    agent: Agent, open_door: Open, lines: Any, handler: Any, kind: str
) -> None:
    """What a generator raises is told in an event of its own, and logged as the original does; the status stays 200."""
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()
    line = lines()[-1]

    assert answer.status == 200
    assert answer.body.decode() == (
        'data: 1\n\ndata: {"error": "broke", "error_type": "RuntimeError", '
        '"message": "An error occurred during streaming"}\n\n'
    )
    assert (line["message"], line["level"]) == (f"Error in {kind} streaming", "ERROR")


async def test_silence_is_filled_with_comments(agent: Agent, open_door: Open) -> None:
    """A generator that says nothing for the keepalive time has a comment sent, which clients skip."""
    go_on = threading.Event()

    async def handler(payload: Any) -> AsyncIterator[str]:
        yield "a"
        await asyncio.to_thread(go_on.wait, 30)
        yield "b"

    agent.entrypoint_handler = handler
    client = await open_door(rules=InvocationRules(keepalive=0.01))

    async with client.session.post(f"{client.url}/invocations", data=b"1") as response:
        read = b""
        while b": keepalive\n\n" not in read:
            read += await response.content.readany()
        go_on.set()
        read += await response.content.read()

    assert [event for event in read.split(b"\n\n") if not event.startswith(b":")] == [b'data: "a"', b'data: "b"', b""]


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_client_that_leaves_closes_the_generator(
    agent: Agent, open_door: Open, connect: Connect, asynchronous: bool
) -> None:
    """When the client is gone the generator's cleaning-up runs, at once and not at the next keepalive."""
    closed = threading.Event()
    go_on = threading.Event()

    async def async_items(payload: Any) -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    def items(payload: Any) -> Iterator[str]:
        try:
            yield "a"
            go_on.wait(30)
            yield "b"
        finally:
            closed.set()

    agent.entrypoint_handler = async_items if asynchronous else items
    client = await open_door()
    connection = await connect(client, POST_TRUE)
    await connection.reader.readuntil(b'data: "a"\n\n')
    await connection.leave()
    go_on.set()

    assert await asyncio.to_thread(closed.wait, 10)


async def test_an_answer_that_is_given_up_closes_its_generator(
    agent: Agent, open_door: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may cancel a request while a log handler of the program's still hears that it streams."""
    monkeypatch.setattr(invocations, "HEARD_WAIT", 30.0)
    yielded, go_on, closed = asyncio.Event(), threading.Event(), asyncio.Event()
    here = asyncio.get_running_loop()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Returning streaming response"):
                go_on.wait(30)

    async def handler(payload: Any) -> AsyncIterator[str]:
        try:
            yield "a"
            here.call_soon_threadsafe(yielded.set)  # after the item, which is on its way
            await asyncio.Event().wait()
        finally:
            here.call_soon_threadsafe(closed.set)

    async def read(limit: int) -> bytes:
        return b"true"

    agent.entrypoint_handler = handler
    client = await open_door()
    undo, listening, logger = records.hand_over_from_here(), Slow(), records.attach(debug=False)
    logger.addHandler(listening)
    headers = CIMultiDictProxy(CIMultiDict({"Host": "localhost"}))
    request = Request("POST", "/invocations", "", headers, "127.0.0.1", read, on_loopback=True)
    try:
        answer = asyncio.ensure_future(client.door.door.handle(request))
        async with asyncio.timeout(30):
            await yielded.wait()
            answer.cancel()
            await asyncio.wait([answer])
            await closed.wait()
        assert answer.cancelled()
    finally:
        go_on.set()
        logger.removeHandler(listening)
        await asyncio.to_thread(undo, 5.0)


async def test_a_generator_never_runs_far_ahead_of_its_reader(agent: Agent, open_door: Open, connect: Connect) -> None:
    """A reader that stops reading stops the generator, whose loop stays free for others."""
    made: list[int] = []

    async def handler(payload: Any) -> AsyncIterator[str]:
        if payload:
            while True:
                made.append(1)
                yield "x" * 1_000_000

    agent.entrypoint_handler = handler
    client = await open_door()
    connection = await connect(client, POST_TRUE, limit=1024)
    await connection.reader.readexactly(1)
    before = -1
    while before != len(made):  # until it has come to a stop
        before = len(made)
        for _ in range(20):
            await client.invoke(False)  # the agent's loop is free

    assert len(made) <= AHEAD + 20  # and what fits the sockets' buffers


async def test_each_chunk_waits_for_what_was_started_before_it(agent: Agent, open_door: Open) -> None:
    """Promise 1: a stream waits before each chunk; its header names what was started before the first."""
    agent.ledger.attach(lambda: None)
    asked: list[int] = []

    async def acknowledge(watermark: int) -> None:
        asked.append(watermark)

    async def handler(payload: Any) -> AsyncIterator[str]:
        yield agent.ledger.start(Start("work")).name
        yield agent.ledger.start(Start("work")).name

    agent.durability.acknowledge = acknowledge
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()

    assert asked == [1, 2, 2]
    first_id = answer.headers["X-Outlast-Task-Ids"].split(",")[0]
    assert answer.body.startswith(f'data: "tasks/{first_id}"'.encode())


async def test_a_stream_that_cannot_be_confirmed_is_424_before_its_headers(agent: Agent, open_door: Open) -> None:
    """Promise 1: with the first chunk unconfirmed nothing of the stream is told, and its generator is closed."""
    closed = threading.Event()

    async def never(watermark: int) -> None:
        raise TimeoutError

    def handler(payload: Any) -> Iterator[str]:
        try:
            yield agent.ledger.start(Start("work")).name
            yield "b"
        finally:
            closed.set()

    agent.durability.acknowledge = never
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()

    assert (answer.status, len(answer.json["taskIds"])) == (424, 1)
    assert await asyncio.to_thread(closed.wait, 10)


async def test_a_stream_that_cannot_be_confirmed_later_ends_with_an_error(agent: Agent, open_door: Open) -> None:
    """Promise 1: a later chunk that cannot be confirmed is not told; an error event is the last."""
    agent.ledger.attach(lambda: None)

    async def only_first(watermark: int) -> None:
        if watermark > 1:
            raise TimeoutError

    def handler(payload: Any) -> Iterator[str]:
        agent.ledger.start(Start("work"))
        yield "a"
        agent.ledger.start(Start("work"))
        yield "b"

    agent.durability.acknowledge = only_first
    agent.entrypoint_handler = handler
    client = await open_door()

    events = (await client.invoke()).body.decode().split("\n\n")

    assert events[0] == 'data: "a"'
    assert '"error_type": "TimeoutError"' in events[1]
    assert len(events) == 3


async def test_a_sync_stream_holds_no_thread_while_nobody_reads(
    agent: Agent, open_door: Open, connect: Connect
) -> None:
    """Slow readers of sync generators do not use the call pool up."""

    def handler(payload: Any) -> Any:
        return (("x" * 1_000_000) for _ in range(1000)) if payload else "free"

    agent.entrypoint_handler = handler
    client = await open_door()
    for _ in range(8):  # twice as many as there are threads
        connection = await connect(client, POST_TRUE, limit=1024)
        await connection.reader.readexactly(1)

    async with asyncio.timeout(20):
        answer = await client.invoke(False)

    assert answer.json == "free"


async def test_stopping_lets_a_stream_end(agent: Agent, open_door: Open) -> None:
    """Within the grace an invocation in flight is answered to its end, a stream too."""
    go_on = threading.Event()

    async def handler(payload: Any) -> AsyncIterator[str]:
        yield "a"
        await asyncio.to_thread(go_on.wait, 30)
        yield "b"

    agent.entrypoint_handler = handler
    client = await open_door()
    async with client.session.post(f"{client.url}/invocations", data=b"1") as response:
        await response.content.readuntil(b"\n\n")
        stopping = asyncio.create_task(client.door.stop(grace=20))
        await asyncio.sleep(0)
        go_on.set()
        rest = await response.content.read()
    await stopping

    assert rest == b'data: "b"\n\n'
