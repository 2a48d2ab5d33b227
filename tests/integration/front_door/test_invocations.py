"""``POST /invocations`` as contract section 1.3 has it."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from outlast.context import RequestContext, current_invocation
from outlast.core.errors import BacklogFull, TaskManagerUnavailable
from outlast.core.operation import Start
from outlast.telemetry import records
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Connect, Open

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"


class _Callable:
    async def __call__(self, payload: Any) -> Any:
        return [payload, threading.current_thread().name]

    def _method(self, payload: Any) -> Any:
        return [payload, threading.current_thread().name.rstrip("0123456789")]


async def _async_handler(payload: Any) -> Any:
    return [payload, threading.current_thread().name]


def _sync_handler(payload: Any) -> Any:
    return [payload, threading.current_thread().name.rstrip("0123456789")]


@pytest.mark.parametrize(
    ("handler", "thread"),
    [
        (_async_handler, "outlast-agent"),
        (functools.partial(_async_handler), "outlast-agent"),
        (_Callable(), "outlast-agent"),
        (lambda payload: _async_handler(payload), "outlast-agent"),
        (_sync_handler, "outlast-call-"),
        (_Callable()._method, "outlast-call-"),
    ],
)
async def test_every_kind_of_handler_runs_off_the_services_loop(
    agent: Agent, open_door: Open, handler: Any, thread: str
) -> None:
    """A handler of any kind is called with the payload, on the thread that is for its kind."""
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke({"a": 1})

    assert (200, [{"a": 1}, thread]) == (answer.status, answer.json)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"b": "ü", "c": [1]}, '{"b": "ü", "c": [1]}'),
        ("text", '"text"'),
        (None, "null"),
        ("\ud800", '"\\ud800"'),
        ({1}, "[1]"),
    ],
)
async def test_a_value_is_json_as_the_original_writes_it(agent: Agent, open_door: Open, value: Any, body: str) -> None:
    """A returned value is 200 application/json, with spaces after separators and without escapes that need not be."""
    agent.entrypoint_handler = lambda payload: value
    client = await open_door()

    answer = await client.invoke()

    assert (200, "application/json", body) == (answer.status, answer.headers["Content-Type"], answer.body.decode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {"error": "Invalid JSON", "details": "Expecting value: line 1 column 1 (char 0)"}),
        (b"{", {"error": "Invalid JSON", "details": "Expecting property name enclosed in double quotes: "
                "line 1 column 2 (char 1)"}),
        (b'"\xff"', {"error": "Invalid encoding", "details": "'utf-8' codec can't decode byte 0xff in position 1: "
                     "invalid start byte"}),
        (b"[" * 200_000, {"error": "Invalid JSON", "details": "it is nested too deeply"}),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_json_is_400(agent: Agent, open_door: Open, body: bytes, expected: object) -> None:
    """What is no JSON is refused with the original's words, whatever its content type."""
    agent.entrypoint_handler = _async_handler
    client = await open_door()

    answer = await client.ask("POST", "/invocations", data=body, headers={"Content-Type": "text/html"})

    assert (400, expected) == (answer.status, answer.json)


async def test_an_integer_beyond_what_python_reads_is_400(agent: Agent, open_door: Open) -> None:
    """An integer with more digits than Python reads is the client's fault."""
    agent.entrypoint_handler = _async_handler
    client = await open_door()

    answer = await client.ask("POST", "/invocations", data=b"9" * 5000)

    assert (answer.status, answer.json["error"]) == (400, "Invalid JSON")


async def test_no_entrypoint_is_500(open_door: Open) -> None:
    """An agent without an entrypoint says so."""
    client = await open_door()

    answer = await client.invoke()

    assert (answer.status, answer.json) == (500, {"error": "No entrypoint defined"})


@pytest.mark.parametrize("error", [ValueError("no such prompt"), SystemExit("no such prompt")])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_an_exception_is_500_with_its_message(
    agent: Agent, open_door: Open, lines: Any, error: BaseException, asynchronous: bool
) -> None:
    """What a handler raises is told the caller, and the log has its stack trace; the agent lives on."""

    def handler(payload: Any) -> Any:
        raise error

    async def async_one(payload: Any) -> Any:
        raise error

    agent.entrypoint_handler = async_one if asynchronous else handler
    client = await open_door()

    answer = await client.invoke()
    line = lines()[-1]

    assert (answer.status, answer.json) == (500, {"error": "no such prompt"})
    assert line["message"].startswith("Invocation failed (")
    assert (line["level"], line["errorType"]) == ("ERROR", type(error).__name__)
    assert (await client.get("/ping")).status == 200


@pytest.mark.parametrize("kind", ["def", "async def", "generator", "async generator"])
async def test_no_user_code_runs_on_the_services_loop(agent: Agent, open_door: Open, kind: str) -> None:
    """What an exception says is asked where it was raised, and a context is made where the handler gets it."""
    threads: list[int] = []

    class Told(Exception):
        def __str__(self) -> str:
            threads.append(threading.get_ident())
            return "told"

    def handler(payload: Any, context: Any) -> Any:
        raise Told

    async def async_handler(payload: Any, context: Any) -> Any:
        raise Told

    def generator(payload: Any, context: Any) -> Any:
        raise Told
        yield

    async def async_generator(payload: Any, context: Any) -> Any:
        raise Told
        yield

    def make_context(session_id: object, request_headers: object, request: object) -> object:
        threads.append(threading.get_ident())
        return object()

    agent.make_context = make_context  # type: ignore[method-assign]
    handlers = {"def": handler, "async def": async_handler, "generator": generator, "async generator": async_generator}
    agent.entrypoint_handler = handlers[kind]

    undo = records.hand_over_from_here()  # as the services do, for the log handlers of others
    try:
        answer = await (await open_door()).invoke()
    finally:
        await asyncio.to_thread(undo, 10)

    assert b'"error":"told"' in answer.body.replace(b'": "', b'":"')
    assert len(threads) >= 2
    assert threading.get_ident() not in threads


async def test_error_detail_can_be_kept_from_callers(agent: Agent, open_door: Open) -> None:
    """With error_detail off a caller gets the request id in place of the message."""

    def handler(payload: Any) -> Any:
        raise ValueError("a secret")

    agent.entrypoint_handler = handler
    client = await open_door(rules=InvocationRules(error_detail=False))

    answer = await client.ask("POST", "/invocations", data=b"1", headers={REQUEST: "r-1"})

    assert (answer.status, answer.json) == (500, {"error": "Internal error", "requestId": "r-1"})


async def test_an_http_exception_chooses_its_status(agent: Agent, open_door: Open, lines: Any) -> None:
    """Starlette's exception, or one made of it, is answered with its status and detail."""

    class Unprocessable(HTTPException):
        pass

    def handler(payload: Any) -> Any:
        raise Unprocessable(422, ("field", "prompt"))  # type: ignore[arg-type]

    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()
    line = lines()[-1]

    assert (answer.status, answer.json) == (422, {"error": ["field", "prompt"]})
    assert line["level"] == "WARNING"
    assert line["message"].startswith("HTTP 422 (")


@pytest.mark.parametrize(("started", "status"), [(0, 429), (1, 500)])
async def test_a_full_backlog_is_told_as_one(
    agent: Agent, open_door: Open, lines: Any, started: int, status: int
) -> None:
    """Our own refusal of a start is 429 with Retry-After, which clients repeat: not once the call started a task."""

    async def handler(payload: Any) -> Any:
        for _ in range(started):
            agent.ledger.start(Start("work"))
        raise BacklogFull("10,000 tasks wait already")

    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()

    assert (answer.status, answer.json["error"]) == (status, "10,000 tasks wait already")
    assert ("Retry-After" in answer.headers) is (status == 429)
    assert ("X-Outlast-Task-Ids" in answer.headers) is bool(started)
    assert lines()[-1]["level"] == ("WARNING" if status == 429 else "ERROR")


async def test_a_starlette_response_is_passed_through(agent: Agent, open_door: Open, lines: Any) -> None:
    """A returned object with a response's shape is the response."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"4"), (b"x-own", b"1")]
    agent.entrypoint_handler = lambda payload: SimpleNamespace(status_code=404, body=b"gone", raw_headers=headers)
    client = await open_door()

    answer = await client.invoke()

    assert (
        answer.status,
        answer.body,
        answer.headers["Content-Type"],
        answer.headers["x-own"],
    ) == (404, b"gone", "text/plain", "1")
    assert lines()[-1]["message"].startswith("Invocation returned HTTP 404 (")


async def test_the_context_has_session_headers_and_request(agent: Agent, open_door: Open) -> None:
    """A second parameter named context gets the session, the headers that may reach agent code, and the request."""
    seen: list[Any] = []

    async def handler(payload: Any, context: RequestContext) -> None:
        seen.extend([context, current_invocation.get()])

    agent.entrypoint_handler = handler
    client = await open_door()
    await client.ask(
        "POST",
        "/invocations",
        data=b"{}",
        headers={
            SESSION: "s-1",
            REQUEST: "r-1",
            "authorization": "Bearer x",
            "X-Own": "1",
            "Cookie": "no",
            "WorkloadAccessToken": "w",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    )

    context, invocation = seen

    assert context.session_id == "s-1"
    assert context.request_headers["Authorization"] == "Bearer x"
    assert context.request_headers["x-own"] == "1"
    assert "cookie" not in context.request_headers
    assert context.request.headers["cookie"] == "no"
    assert (invocation.request_id, invocation.session_id) == ("r-1", "s-1")
    assert invocation.credentials == {"WorkloadAccessToken": "w"}
    assert invocation.request_headers == context.request_headers
    assert invocation.trace_context.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c")


async def test_the_completed_line_has_ids_and_the_handlers_time(agent: Agent, open_door: Open, lines: Any) -> None:
    """The last line of an invocation is the documents', with the request's ids."""
    agent.entrypoint_handler = _async_handler
    client = await open_door()

    await client.ask("POST", "/invocations", data=b"{}", headers={SESSION: "s-1", REQUEST: "r-1"})
    line = lines()[-1]

    assert list(line)[:6] == ["timestamp", "level", "message", "logger", "requestId", "sessionId"]
    assert line["message"].startswith("Invocation completed successfully (0.0")
    assert (line["requestId"], line["sessionId"]) == ("r-1", "s-1")


async def test_a_manager_out_of_reach_is_503_and_the_handler_is_not_run(agent: Agent, open_door: Open) -> None:
    """Promise 1: without a task manager no handler starts."""
    ran: list[Any] = []
    agent.entrypoint_handler = ran.append
    agent.durability.unavailable = TaskManagerUnavailable("the task manager is out of reach")
    client = await open_door()

    answer = await client.invoke()

    assert (answer.status, answer.json["error"]) == (503, "the task manager is out of reach")
    assert answer.headers["Retry-After"] == "1"
    assert ran == []


async def test_the_answer_waits_for_the_watermark_and_names_the_tasks(agent: Agent, open_door: Open) -> None:
    """Promise 1: the answer comes after the acknowledgement of all that was started, by tasks just created too."""
    agent.ledger.attach(lambda: None)
    asked: list[int] = []
    started: list[int] = []
    background: list[asyncio.Task[None]] = []

    async def acknowledge(watermark: int) -> None:
        asked.append(watermark)

    async def work() -> None:
        started.append(agent.ledger.start(Start("work")).task_id)

    async def handler(payload: Any) -> str:
        started.append(agent.ledger.start(Start("work")).task_id)
        background.append(asyncio.create_task(work()))
        return "started"

    agent.durability.acknowledge = acknowledge
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()

    assert asked == [2]
    assert answer.headers["X-Outlast-Task-Ids"] == ",".join(map(str, started))
    assert len(started) == 2


async def test_no_acknowledgement_after_the_handler_is_424_with_the_ids(agent: Agent, open_door: Open) -> None:
    """Promise 1: what could not be confirmed is a status that no client retries, with the ids."""

    async def never(watermark: int) -> None:
        raise TimeoutError

    agent.durability.acknowledge = never
    agent.entrypoint_handler = lambda payload: agent.ledger.start(Start("work")).task_id
    client = await open_door()

    answer = await client.invoke()

    assert answer.status == 424
    assert answer.json["taskIds"] == [answer.headers["X-Outlast-Task-Ids"]]


async def test_too_many_blocking_handlers_are_429(agent: Agent, open_door: Open) -> None:
    """With every thread taken and the queue full, a further call is told to come back; /ping answers all the while."""
    release = threading.Event()
    agent.entrypoint_handler = lambda payload: release.wait(30)
    client = await open_door()
    calls = [asyncio.create_task(client.invoke()) for _ in range(9)]  # four threads, four places in the queue

    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    refused = done.pop().result()
    ping = await client.get("/ping")
    release.set()
    answers = await asyncio.gather(*calls)

    assert (refused.status, refused.headers["Retry-After"], ping.status) == (429, "1", 200)
    assert sorted(answer.status for answer in answers) == [200] * 8 + [429]


async def test_too_many_invocations_are_429(agent: Agent, open_door: Open) -> None:
    """Beyond the limit an invocation is told to come back, of whatever kind the handler is."""
    entered, release = threading.Semaphore(0), threading.Event()

    async def handler(payload: Any) -> str:
        entered.release()
        await asyncio.to_thread(release.wait, 30)
        return "done"

    agent.entrypoint_handler = handler
    client = await open_door(rules=InvocationRules(max_invocations=2))
    calls = [asyncio.create_task(client.invoke()) for _ in range(2)]
    for _ in calls:
        await asyncio.to_thread(entered.acquire)

    refused = await client.invoke()
    release.set()
    answers = await asyncio.gather(*calls)
    after = await client.invoke()

    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert "2 invocations are under way" in refused.json["error"]
    assert [answer.status for answer in (*answers, after)] == [200, 200, 200]


async def test_a_blocking_async_handler_does_not_block_ping(agent: Agent, open_door: Open) -> None:
    """Promise 9: an async def that blocks its loop blocks nobody's /ping."""
    entered, blocks = threading.Event(), threading.Lock()
    blocks.acquire()

    async def handler(payload: Any) -> None:
        entered.set()
        with blocks:
            pass

    agent.entrypoint_handler = handler
    client = await open_door()
    call = asyncio.create_task(client.invoke())
    await asyncio.to_thread(entered.wait, 30)

    ping = await client.get("/ping")
    blocks.release()

    assert ping.status == 200
    assert (await call).status == 200


async def test_a_client_that_leaves_does_not_cancel_a_plain_handler(
    agent: Agent, open_door: Open, connect: Connect
) -> None:
    """A handler that returns a value runs to its end though nobody waits for it."""
    loop = asyncio.get_running_loop()
    entered, go_on, ended = asyncio.Event(), threading.Event(), asyncio.Event()

    async def handler(payload: Any) -> None:
        loop.call_soon_threadsafe(entered.set)
        await asyncio.to_thread(go_on.wait, 30)
        loop.call_soon_threadsafe(ended.set)

    agent.entrypoint_handler = handler
    client = await open_door()
    connection = await connect(client, b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
    await entered.wait()
    await connection.leave()
    await client.get("/ping")  # the server has had its turn to notice
    go_on.set()

    async with asyncio.timeout(10):
        await ended.wait()


def _sync_items(payload: Any) -> Iterator[Any]:
    yield "a"
    yield {"b": threading.current_thread().name.rstrip("0123456789")}


async def _async_items(payload: Any) -> AsyncIterator[Any]:
    yield "a"
    yield {"b": threading.current_thread().name}


async def _returns_generator(payload: Any) -> Any:
    return _async_items(payload)


def _plainly_returns_generator(payload: Any) -> Any:
    return _async_items(payload)


@pytest.mark.parametrize(
    ("handler", "thread", "kind"),
    [
        (_sync_items, "outlast-call-", "generator"),
        (_async_items, "outlast-agent", "generator"),
        (_returns_generator, "outlast-agent", "generator"),
        (_plainly_returns_generator, "outlast-agent", "async generator"),
    ],
)
async def test_a_generator_is_an_event_stream(
    agent: Agent, open_door: Open, lines: Any, handler: Any, thread: str, kind: str
) -> None:
    """Each item is one event, made on the thread that is for its kind; the line calls it what the original does."""
    agent.entrypoint_handler = handler
    client = await open_door()

    answer = await client.invoke()

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.body.decode() == f'data: "a"\n\ndata: {json.dumps({"b": thread})}\n\n'
    assert lines()[-1]["message"].startswith(f"Returning streaming response ({kind}) (")
