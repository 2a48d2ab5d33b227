"""Responses of Starlette's that handlers return, and whatever else answers as an ASGI application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from sse_starlette import EventSourceResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from outlast.context import current_invocation
from outlast.core.operation import Start
from outlast.headers import TASK_IDS
from outlast.tasks.item_stream import AHEAD
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Client, Connect, Open

POST = b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\ntrue"


async def _raw(client: Client, connect: Connect) -> bytes:
    """Return what comes on the wire for a POST, up to the end of the connection."""
    connection = await connect(client, POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    async with asyncio.timeout(10):
        return await connection.reader.read()


@pytest.mark.parametrize(
    ("make", "status", "content_type", "body"),
    [
        (lambda: JSONResponse({"a": "ü"}, 201), 201, "application/json", '{"a":"ü"}'.encode()),
        (lambda: PlainTextResponse("text"), 200, "text/plain; charset=utf-8", b"text"),
        (lambda: HTMLResponse("<p>"), 200, "text/html; charset=utf-8", b"<p>"),
        (lambda: Response(b"untyped"), 200, None, b"untyped"),
        (lambda: Response(memoryview(b"view"), media_type="image/png"), 200, "image/png", b"view"),
        (lambda: Response(status_code=204), 204, None, b""),
        (lambda: RedirectResponse("/elsewhere"), 307, None, b""),
        (lambda: StreamingResponse(iter([b"untyped"])), 200, None, b"untyped"),
        (
            lambda: StreamingResponse(iter(["a", "b"]), 418, media_type="text/csv"),
            418,
            "text/csv; charset=utf-8",
            b"ab",
        ),
        (lambda: StreamingResponse(iter([]), 204), 204, None, b""),
    ],
)
async def test_a_response_arrives_as_it_was_made(
    agent: Agent,
    open_door: Open,
    lines: Any,
    make: Callable[[], Response],
    status: int,
    content_type: str | None,
    body: bytes,
) -> None:
    """Status, body and content type are the response's own; nothing adds a content type where it has none."""
    agent.entrypoint_handler = lambda payload: make()
    client = await open_door()

    answer = await client.ask("POST", "/invocations", data=b"{}", allow_redirects=False)
    said = f"Invocation returned HTTP {status} (" if status >= 400 else "Invocation completed successfully ("

    assert (answer.status, answer.headers.get("Content-Type"), answer.body) == (status, content_type, body)
    assert lines()[-1]["message"].startswith(said)


async def test_headers_come_as_often_as_they_were_set(agent: Agent, open_door: Open, connect: Connect) -> None:
    """Two cookies are two headers, of plain responses and of streaming ones, and a header may be renamed Server."""

    def handler(payload: Any) -> Any:
        response = StreamingResponse(iter(["x"])) if payload else Response("x")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        response.headers["Server"] = "own"
        return response

    agent.entrypoint_handler = handler
    client = await open_door()

    for payload in (True, False):
        async with client.session.post(f"{client.url}/invocations", json=payload) as response:
            assert [cookie[:4] for cookie in response.headers.getall("Set-Cookie")] == ["a=1;", "b=2;"]
            assert response.headers.getall("Server") == ["own"]


async def test_a_streams_length_is_kept(agent: Agent, open_door: Open, connect: Connect) -> None:
    """A Content-Length that a streaming response sets is what frames its body."""
    agent.entrypoint_handler = lambda payload: StreamingResponse(iter([b"12", b"34"]), headers={"Content-Length": "4"})

    answered = await _raw(await open_door(), connect)

    assert b"content-length: 4\r\n" in answered
    assert b"chunked" not in answered.lower()
    assert answered.endswith(b"\r\n\r\n1234")


async def test_a_stream_arrives_while_it_is_made(agent: Agent, open_door: Open) -> None:
    """The headers and each piece come as soon as they are there, long before the end."""
    go = asyncio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield "first"
        await go.wait()
        yield "last"

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces(), media_type="text/event-stream")

    agent.entrypoint_handler = handler
    client = await open_door()

    async with client.session.post(f"{client.url}/invocations", json=1) as response:
        first = await response.content.readany()
        agent.loop.post(go.set)
        rest = await response.content.read()

    assert (first, rest) == (b"first", b"last")


async def test_a_response_runs_in_its_handlers_context(agent: Agent, open_door: Open) -> None:
    """What a response calls while it is sent belongs to the invocation, on the agent's loop or in its threads."""
    seen: list[Any] = []

    async def pieces() -> AsyncIterator[str]:
        seen.append((current_invocation.get(), threading.current_thread().name))
        yield "x"

    def after() -> None:
        seen.append(current_invocation.get())

    agent.entrypoint_handler = lambda payload: StreamingResponse(pieces(), background=BackgroundTask(after))
    client = await open_door()

    await client.invoke(X_Amzn_Bedrock_AgentCore_Runtime_Request_Id="r-1")
    await client.door.stop(1.0)
    (invocation, thread), after_it = seen

    assert (invocation.request_id, thread) == ("r-1", "outlast-agent")
    assert after_it is invocation


async def test_an_event_source_response_streams(agent: Agent, open_door: Open) -> None:
    """A response class of somebody else's works: it is called as the ASGI application that it is."""

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"event": "tick", "data": "1"}

    async def handler(payload: Any) -> Any:
        return EventSourceResponse(events())

    agent.entrypoint_handler = handler

    answer = await (await open_door()).invoke()

    assert answer.body == b"event: tick\r\ndata: 1\r\n\r\n"
    assert answer.headers["Content-Type"].startswith("text/event-stream")


async def test_any_asgi_application_may_be_a_response(agent: Agent, open_door: Open) -> None:
    """An object with a response's shape that can be called sends what it wants to."""

    class Own:
        status_code = 200
        raw_headers: ClassVar[list[tuple[bytes, bytes]]] = []

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 203, "headers": [(b"x-path", scope["path"].encode())]})
            await send({"type": "http.response.body", "body": bytearray(b"own")})

    agent.entrypoint_handler = lambda payload: Own()

    answer = await (await open_door()).invoke()

    assert (answer.status, answer.body, answer.headers["x-path"]) == (203, b"own", "/invocations")


async def test_a_file_is_sent_whole(agent: Agent, open_door: Open, tmp_path: Path) -> None:
    """A FileResponse larger than what may be ahead of the reader arrives as it is on the disk."""
    content = bytes(range(256)) * 256 * 2 * AHEAD
    (tmp_path / "file.bin").write_bytes(content)
    agent.entrypoint_handler = lambda payload: FileResponse(tmp_path / "file.bin", filename="name.bin")

    answer = await (await open_door()).invoke()

    assert answer.body == content
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="name.bin"'


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("kind", [PlainTextResponse, StreamingResponse])
async def test_background_tasks_run_after_the_answer(
    agent: Agent, open_door: Open, kind: Any, asynchronous: bool
) -> None:
    """The client has its whole answer before the background task ends, which counts as in flight until it has."""
    go, ended = threading.Event(), threading.Event()

    async def work() -> None:
        await asyncio.to_thread(go.wait)
        ended.set()

    def sync_work() -> None:
        go.wait()
        ended.set()

    def handler(payload: Any) -> Any:
        return kind("answer", background=BackgroundTask(work if asynchronous else sync_work))

    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()
    stopping = asyncio.create_task(client.door.stop(10.0))
    await asyncio.sleep(0)

    assert answer.body == b"answer"
    assert not ended.is_set()
    assert not stopping.done()
    go.set()
    await stopping
    assert ended.is_set()


async def test_a_background_task_runs_though_the_client_has_left(
    agent: Agent, open_door: Open, connect: Connect
) -> None:
    """A stream that nobody reads is closed, and what was to come after it comes."""
    waiting, closed, ran = asyncio.Event(), threading.Event(), threading.Event()

    async def pieces() -> AsyncIterator[str]:
        try:
            yield "first"
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    agent.entrypoint_handler = lambda payload: StreamingResponse(pieces(), background=BackgroundTask(ran.set))
    client = await open_door()
    connection = await connect(client, POST)

    await connection.reader.readuntil(b"first")
    await connection.leave()

    assert await asyncio.to_thread(closed.wait, 10)
    assert await asyncio.to_thread(ran.wait, 10)


async def test_a_client_that_leaves_closes_the_iterator(
    agent: Agent, open_door: Open, connect: Connect, lines: Any
) -> None:
    """A stream that makes one piece after the other ends soon after its client has left, without a line."""
    closed = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
        finally:
            closed.set()

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces())

    agent.entrypoint_handler = handler
    client = await open_door()
    connection = await connect(client, POST)

    await connection.reader.readuntil(b"xxxx")
    await connection.leave()

    assert await asyncio.to_thread(closed.wait, 10)
    await client.door.stop(10.0)
    assert [line for line in lines() if line["level"] != "INFO"] == []


async def test_an_application_that_hears_nothing_is_told_by_an_error(
    agent: Agent, open_door: Open, connect: Connect, lines: Any
) -> None:
    """Who sends on and on without looking whether anybody is there gets an OSError at last."""
    told = threading.Event()

    class Deaf:
        status_code = 200
        raw_headers: ClassVar[list[tuple[bytes, bytes]]] = []

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            except OSError:
                told.set()
                raise

    agent.entrypoint_handler = lambda payload: Deaf()
    client = await open_door()
    connection = await connect(client, POST)

    await connection.reader.readuntil(b"xxxx")
    await connection.leave()

    assert await asyncio.to_thread(told.wait, 10)
    await client.door.stop(10.0)
    assert [line for line in lines() if line["level"] != "INFO"] == []


async def test_a_slow_reader_holds_the_iterator_back(agent: Agent, open_door: Open, connect: Connect) -> None:
    """An iterator gets only so far ahead of a client that does not read, and no piece is lost when it does."""
    made = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(1_000):
            made += 1
            yield b"x" * 65_536

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces())

    agent.entrypoint_handler = handler
    client = await open_door()
    connection = await connect(client, POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every transport that reads
    before = -1
    while made != before or not made:
        before = made
        await asyncio.sleep(0.2)
    held_at = made
    connection.writer.transport.resume_reading()  # type: ignore[attr-defined]
    read = await connection.reader.read()

    assert held_at < 500
    assert read.count(b"x") == 1_000 * 65_536


async def test_a_failure_before_the_response_is_a_500(agent: Agent, open_door: Open, lines: Any) -> None:
    """A file that is not there is found out too late for the handler: the caller gets what servers answer then."""
    agent.entrypoint_handler = lambda payload: FileResponse("/nowhere")
    client = await open_door()

    answer = await client.invoke(X_Amzn_Bedrock_AgentCore_Runtime_Request_Id="r-1")
    completed, failed = lines()

    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert completed["message"].startswith("Invocation completed successfully (")
    assert (failed["level"], failed["message"]) == ("ERROR", "Exception in ASGI application")
    assert (failed["requestId"], failed["errorType"]) == ("r-1", "RuntimeError")


def _breaking() -> Iterator[str]:
    yield "first"
    raise RuntimeError("broke")


@pytest.mark.parametrize(
    "make",
    [
        lambda: StreamingResponse(_breaking()),
        lambda: StreamingResponse(iter(["short"]), headers={"Content-Length": "100"}),
    ],
)
async def test_a_failure_after_the_start_breaks_the_connection_off(
    agent: Agent, open_door: Open, lines: Any, make: Callable[[], Response]
) -> None:
    """A client does not take for whole what is not, and the log has one line of it."""
    agent.entrypoint_handler = lambda payload: make()
    client = await open_door()

    with pytest.raises(aiohttp.ClientPayloadError):
        await client.invoke()

    assert [line["level"] for line in lines()] == ["INFO", "ERROR"]


async def test_a_failing_background_task_is_a_line(agent: Agent, open_door: Open, lines: Any) -> None:
    """What fails after the answer changes nothing of it, and is in the log."""

    def fail() -> None:
        raise RuntimeError("broke")

    agent.entrypoint_handler = lambda payload: JSONResponse(1, background=BackgroundTask(fail))
    client = await open_door()

    answer = await client.invoke()
    await client.door.stop(10.0)

    assert answer.json == 1
    assert lines()[-1]["errorMessage"] == "broke"


async def test_an_application_that_never_responds_is_a_500(agent: Agent, open_door: Open, lines: Any) -> None:
    """An application that returns without a word is answered for."""

    class Silent:
        status_code = 200
        raw_headers: ClassVar[list[tuple[bytes, bytes]]] = []

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            pass

    agent.entrypoint_handler = lambda payload: Silent()

    assert (await (await open_door()).invoke()).status == 500
    assert "without a response" in lines()[-1]["errorMessage"]


@pytest.mark.parametrize("kind", [Response, StreamingResponse])
async def test_a_header_with_a_line_break_is_refused(agent: Agent, open_door: Open, kind: Any) -> None:
    """Nobody writes a header of their own into an answer through the value of another."""
    agent.entrypoint_handler = lambda payload: kind("x", headers={"X-Own": "1\r\nX-Forged: 1"})

    answer = await (await open_door()).invoke()

    assert answer.status == 500
    assert "X-Forged" not in answer.headers


async def test_each_piece_waits_until_its_tasks_are_durable(agent: Agent, open_door: Open) -> None:
    """No piece is sent before the tasks that were started up to it are on disk (promise 1)."""
    agent.ledger.attach(lambda: None)
    durable, asked = asyncio.Event(), asyncio.Event()

    async def acknowledge(watermark: int) -> None:
        if watermark:
            asked.set()
            await durable.wait()

    async def pieces() -> AsyncIterator[str]:
        yield "before"
        agent.ledger.start(Start("work"))
        yield "after"

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces())

    agent.entrypoint_handler = handler
    agent.durability.acknowledge = acknowledge
    client = await open_door()

    async with client.session.post(f"{client.url}/invocations", json=1) as response:
        first = await response.content.readany()
        await asked.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await response.content.readany()
        durable.set()
        second = await response.content.readany()

    assert (first, second) == (b"before", b"after")


async def test_tasks_of_a_response_are_named_in_its_headers(agent: Agent, open_door: Open) -> None:
    """Tasks that a response starts before its first piece are in the header with the task ids."""

    async def pieces() -> AsyncIterator[str]:
        agent.ledger.start(Start("work"))
        yield "x"

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces())

    agent.entrypoint_handler = handler

    answer = await (await open_door()).invoke()

    assert answer.headers[TASK_IDS] == str(agent.ledger.live()[0].task_id)


async def test_a_response_whose_tasks_are_not_durable_is_a_424(agent: Agent, open_door: Open) -> None:
    """A response that may not be told in time is answered as a value that may not be."""
    agent.ledger.attach(lambda: None)

    async def acknowledge(watermark: int) -> None:
        if watermark:
            raise TimeoutError

    async def pieces() -> AsyncIterator[str]:
        agent.ledger.start(Start("work"))
        yield "x"

    async def handler(payload: Any) -> Any:
        return StreamingResponse(pieces())

    agent.entrypoint_handler = handler
    agent.durability.acknowledge = acknowledge

    assert (await (await open_door(rules=InvocationRules(ack_timeout=0.1))).invoke()).status == 424


@pytest.mark.parametrize(
    ("detail", "told"),
    [({"field": ["prompt"]}, {"field": ["prompt"]}), (None, "Bad Request"), (object, str(object))],
)
async def test_an_http_exceptions_detail_may_be_anything(
    agent: Agent, open_door: Open, lines: Any, detail: Any, told: Any
) -> None:
    """The detail of Starlette's HTTPException is told as JSON, and as text where it is none."""

    def handler(payload: Any) -> Any:
        raise HTTPException(400, detail)

    agent.entrypoint_handler = handler

    answer = await (await open_door()).invoke()

    assert (answer.status, answer.json) == (400, {"error": told})
    assert lines()[-1]["message"].startswith("HTTP 400 (")


async def test_an_http_exception_whose_detail_says_nothing(agent: Agent, open_door: Open) -> None:
    """A detail that raises when it is asked what it says is named by its type."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    def handler(payload: Any) -> Any:
        error = HTTPException(302)
        error.detail = Mute()  # type: ignore[assignment]
        raise error

    agent.entrypoint_handler = handler

    answer = await (await open_door()).ask("POST", "/invocations", data=b"1", allow_redirects=False)

    assert (answer.status, answer.json) == (302, {"error": "Mute"})
