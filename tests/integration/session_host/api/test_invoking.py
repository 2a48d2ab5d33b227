"""InvokeAgentRuntime and GetAgentCard, asked by boto3 and by hand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from botocore.exceptions import ClientError, ResponseStreamingError

from outlastd.session_host import admission
from outlastd.session_host.api_error import (
    agent_failed,
    busy,
    conflict,
    denied,
    internal,
    over_quota,
    throttled,
    unauthorized,
)
from outlastd.session_host.principal import Principal

from .stage import ARN, SESSION, Stage, events

PATH = f"/runtimes/{quote(ARN, safe='')}/invocations"


async def _failure(stage: Stage, operation: str = "invoke_agent_runtime", **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        await stage.call(operation, **arguments)
    told = caught.value.response
    assert told["ResponseMetadata"]["RequestId"]
    return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"], told["Error"]["Message"]


async def test_an_invocation(stage: Stage) -> None:
    """The payload reaches the agent, and the answer its caller, with everything that boto3 has a name for."""
    answer = await stage.call(
        "invoke_agent_runtime",
        payload=b'{"prompt": "hi"}',
        runtimeSessionId=SESSION,
        runtimeUserId="alice",
        contentType="application/json",
        accept="application/json",
        traceParent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        baggage="k=v",
        mcpSessionId="mcp-1",
        qualifier="DEFAULT",
        accountId="123456789012",
    )

    assert json.loads(answer["body"]) == {"payload": '{"prompt": "hi"}', "session": SESSION}
    assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, SESSION)
    assert answer["contentType"] == "application/json; charset=utf-8"
    (request,) = stage.guest.requests
    names = "Content-Type", "Accept", "Mcp-Session-Id", "baggage", "X-Amzn-Bedrock-AgentCore-Runtime-User-Id"
    assert [request.headers[name] for name in names] == ["application/json"] * 2 + ["mcp-1", "k=v", "alice"]
    assert request.headers["X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"] == answer["ResponseMetadata"]["RequestId"]
    held = {"authorization", "x-amz-date", "amz-sdk-invocation-id", "user-agent"}
    assert not held & {name.lower() for name in request.headers}
    assert stage.auth.hashes == [hashlib.sha256(b'{"prompt": "hi"}').hexdigest()]
    assert stage.sessions.users == ["alice"]
    assert stage.sessions.only.in_flight == 0
    size = len(answer["body"])
    assert stage.strict.said == [("request", 16), ("answer_ended", size, size, False), ("answered",)]


@pytest.mark.parametrize(
    "name", ["my_agent", "my_agent-AbCdEf1234", quote(ARN, safe=""), ARN, f"{ARN}/runtime-endpoint/DEFAULT"]
)
async def test_every_name_of_an_agent(stage: Stage, name: str) -> None:
    """An agent is asked by its ARN, encoded or not, by its id and by its name."""
    told = await stage.ask("POST", f"/runtimes/{name}/invocations", data=b"{}")

    assert (told.status, told.json["session"]) == (200, SESSION)


async def test_a_session_of_its_own(stage: Stage) -> None:
    """Whoever names no session gets a new one, and its id."""
    told = await stage.ask("POST", PATH, session=None, data=b"{}")

    assert told.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == told.json["session"]
    assert 33 <= len(told.json["session"]) <= 256


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff\x00", b"x" * 3_000_000], ids=["none", "list", "bytes", "large"])
async def test_any_payload(stage: Stage, payload: bytes) -> None:
    """Any bytes reach the agent as they are, with their length."""
    told = await stage.ask("POST", PATH, data=payload)

    assert told.json["payload"].encode("latin-1") == payload
    assert stage.guest.requests[0].headers["Content-Length"] == str(len(payload))


async def test_a_stream_comes_as_it_is_made(stage: Stage) -> None:
    """Each piece of a stream reaches the caller before the next is made."""
    go_on = asyncio.Queue[bytes]()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        while event := await go_on.get():
            await response.write(event)
        return response

    stage.guest.answer = stream
    headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION}
    async with stage.http.post(stage.address + PATH.replace("%2F", "%252F"), headers=headers) as refused:
        assert refused.status == 400
    async with stage.http.post(f"{stage.address}/runtimes/my_agent/invocations", headers=headers) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        for event in events(3):
            go_on.put_nowait(event)
            assert await response.content.readuntil(b"\n\n") == event
            assert stage.sessions.only.in_flight == 1
        go_on.put_nowait(b"")
        assert await response.read() == b""
    assert stage.strict.said[-1] == ("answer_ended", sum(map(len, events(3))), len(events(1)[0]), True)
    assert stage.sessions.only.in_flight == 0


async def test_a_stream_through_boto3(stage: Stage) -> None:
    """boto3 reads a stream line by line, and a large answer whole."""
    stage.guest.answer = _streaming(*events(5))

    answer = await stage.call("invoke_agent_runtime", payload=b"{}")

    assert answer["contentType"] == "text/event-stream"
    assert answer["body"] == b"".join(events(5))


async def test_a_large_answer(stage: Stage) -> None:
    """An answer of many megabytes comes through, with its length."""
    body = bytes(range(256)) * 40_000

    async def large(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/octet-stream")

    stage.guest.answer = large

    told = await stage.ask("POST", PATH, data=b"{}")

    assert (told.headers["Content-Length"], told.body == body) == (str(len(body)), True)


async def test_another_status_that_is_a_success(stage: Stage) -> None:
    """Any 2xx passes, also one without a body or a content type."""
    for status, body in ((202, b"later"), (204, b"")):

        async def accepted(request: web.Request, status: int = status, body: bytes = body) -> web.StreamResponse:
            response = web.Response(status=status, body=body)
            response.headers.popall("Content-Type", None)
            return response

        stage.guest.answer = accepted
        told = await stage.ask("POST", PATH, data=b"{}")
        assert (told.status, told.body) == (status, body)


# -- errors of contract section 1.6 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (over_quota("full"), 402, "ServiceQuotaExceededException"),
        (denied(), 403, "AccessDeniedException"),
        (conflict("held"), 409, "ConflictException"),
        (busy(), 409, "RetryableConflictException"),
        (agent_failed("no"), 424, "RuntimeClientError"),
        (throttled("slow"), 429, "ThrottlingException"),
        (internal(), 500, "InternalServerException"),
        (RuntimeError("secret"), 500, "InternalServerException"),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_errors_of_sessions(stage: Stage, error: Exception, status: int, kind: str) -> None:
    """Each error reaches boto3 with its status, its kind and its message; of a fault of ours nothing else is said."""
    stage.sessions.failure = error

    told = await _failure(stage, payload=b"{}")

    assert told == (status, kind, "Internal error" if status == 500 else str(error))


@pytest.mark.parametrize(
    ("arguments", "status", "kind"),
    [
        ({"agentRuntimeArn": ARN.replace("my_agent", "nobody")}, 404, "ResourceNotFoundException"),
        ({"agentRuntimeArn": "arn:aws:s3:::bucket"}, 400, "ValidationException"),
        ({"agentRuntimeArn": "../my_agent"}, 400, "ValidationException"),
        ({"qualifier": "prod"}, 404, "ResourceNotFoundException"),
        ({"accountId": "1"}, 400, "ValidationException"),
        ({"runtimeSessionId": "x" * 257}, 400, "ValidationException"),
        ({"runtimeSessionId": "-" * 40}, 400, "ValidationException"),
        ({"runtimeSessionId": "sessïon" * 10}, 400, "ValidationException"),
        ({"runtimeUserId": "x" * 1025}, 400, "ValidationException"),
        ({"traceParent": "x" * 129}, 400, "ValidationException"),
    ],
    ids=str,
)
async def test_requests_that_cannot_be_meant(stage: Stage, arguments: Any, status: int, kind: str) -> None:
    """What boto3 lets pass is checked here, and no session begins."""
    assert (await _failure(stage, payload=b"{}", **arguments))[:2] == (status, kind)
    assert not stage.sessions.live


async def test_requests_that_boto3_does_not_send(stage: Stage) -> None:
    """Sessions named twice, empty or short are refused, as are paths and methods of which there are none."""
    twice = [("X-Amzn-Bedrock-AgentCore-Runtime-Session-Id", SESSION)] * 2
    async with stage.http.post(f"{stage.address}/runtimes/my_agent/invocations", headers=twice) as response:
        assert response.status == 400
    for session in ("", "x" * 32):
        assert (await stage.ask("POST", PATH, session=session)).error == (400, "ValidationException")
    for path in ("/", "/runtimes/my_agent", f"{PATH}/", "/runtimes//invocations", "//", "/invocations", "/sessions/x"):
        assert (await stage.ask("POST", path)).error == (404, "ResourceNotFoundException")
    told = await stage.ask("GET", PATH)
    assert (told.error, told.headers["Allow"]) == ((405, "ValidationException"), "POST")
    assert (await stage.ask("GET", "/runtimes/my_agent/ws")).error == (400, "ValidationException")
    assert not stage.sessions.live


async def test_who_is_not_believed(stage: Stage) -> None:
    """Whoever is not believed hears nothing of what there is, whatever is wrong beside."""
    for path in (PATH, "/runtimes/nobody/invocations", "/runtimes/my_agent/invocations?qualifier=x"):
        stage.auth.unproved = denied()
        assert (await stage.ask("POST", path, session="short", data=b"{}")).error == (403, "AccessDeniedException")
        stage.auth.unproved = None
        stage.auth.unreadable = unauthorized({"WWW-Authenticate": "Bearer"})
        told = await stage.ask("POST", path, data=b"{}")
        assert (told.error, told.headers["WWW-Authenticate"]) == ((401, "UnauthorizedException"), "Bearer")
        stage.auth.unreadable = None


async def test_who_is_bound(stage: Stage) -> None:
    """A bound principal names its own sessions, agents and user only, and its user is told to the agent."""
    stage.auth.principal = Principal("alice", session_prefix="alice-", user="alice")

    told = await stage.ask("POST", PATH, session=None, data=b"{}")
    assert told.json["session"].startswith("alice-")
    assert stage.guest.requests[0].headers["X-Amzn-Bedrock-AgentCore-Runtime-User-Id"] == "alice"
    assert (await stage.ask("POST", PATH)).error == (403, "AccessDeniedException")
    bob = {"X-Amzn-Bedrock-AgentCore-Runtime-User-Id": "bob"}
    assert (await stage.ask("POST", PATH, session=None, headers=bob)).error == (403, "AccessDeniedException")
    stage.auth.principal = Principal("alice", agents=frozenset({"another"}))
    assert (await stage.ask("POST", PATH)).error == (403, "AccessDeniedException")


async def test_a_web_page(stage: Stage) -> None:
    """A page of some site may not ask, nor may one whose name points here."""
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        assert (await stage.ask("POST", PATH, headers=headers)).error == (403, "AccessDeniedException")


async def test_a_web_page_that_may(closed_stage: Stage) -> None:
    """A page of an allowed origin asks first, and may read what an answer says of session and error."""
    stage = await closed_stage.open(origins=("https://good.example",))
    origin = {"Origin": "https://good.example"}
    asked = await stage.ask("OPTIONS", PATH, headers=origin | {"Access-Control-Request-Method": "POST"})
    told = await stage.ask("POST", PATH, headers=origin, data=b"{}")

    assert (asked.status, told.headers["Access-Control-Allow-Origin"]) == (204, "https://good.example")
    assert "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id" in told.headers["Access-Control-Expose-Headers"]


async def test_a_body_over_the_limit(closed_stage: Stage) -> None:
    """A body over the limit is refused with the limit, whether or not it says how long it is."""
    stage = await closed_stage.open(max_body_bytes=1_000)

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100

    for data in (b"x" * 1_001, pieces()):
        told = await stage.ask("POST", PATH, data=data)
        assert (told.error, "1,000" in told.json["message"]) == ((400, "ValidationException"), True)
    assert (await stage.ask("POST", PATH, data=b"x" * 1_000)).status == 200


async def test_a_body_that_does_not_come(closed_stage: Stage) -> None:
    """A client that stops in the middle of its body is told so, and holds nothing any more."""
    stage = await closed_stage.open(io_timeout=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.address.rpartition(":")[2]))
    writer.write(b"POST /runtimes/my_agent/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")

    assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert not stage.sessions.live


async def test_large_bodies_that_come_slowly(closed_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large bodies that dribble in keep out other large ones, no small ones, and not for ever."""
    stage = await closed_stage.open(max_requests=1)
    monkeypatch.setattr(admission, "ARRIVAL_TIMEOUT", 1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.address.rpartition(":")[2]))
    writer.write(b"POST /runtimes/my_agent/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx")
    while (told := await stage.ask("POST", PATH, data=b"x" * 100_000)).status == 200:
        pass  # the first has not come so far
    assert told.error == (429, "ThrottlingException")
    assert (await stage.ask("POST", PATH, data=b"{}")).status == 200

    assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert (await stage.ask("POST", PATH, data=b"x" * 100_000)).status == 200


async def test_too_many_at_once(closed_stage: Stage) -> None:
    """Over the limit of requests the next is throttled, and there is room again after one has ended."""
    stage = await closed_stage.open(max_requests=1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.json_response(1)

    stage.guest.answer = wait
    first = asyncio.ensure_future(stage.ask("POST", PATH, data=b"{}"))
    await begun.wait()
    assert (await stage.ask("POST", PATH, data=b"{}")).error == (429, "ThrottlingException")
    go_on.set()
    assert (await first).status == 200
    assert (await stage.ask("POST", PATH, data=b"{}")).status == 200


# -- the agent fails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [302, 400, 403, 404, 429, 500, 503])
async def test_an_agent_that_answers_with_an_error(stage: Stage, status: int) -> None:
    """An agent's error is a RuntimeClientError with the agent's own words; the tasks that it had started are named."""

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "out of\n tokens"}, status=status, headers={"X-Outlast-Task-Ids": "7"})

    stage.guest.answer = fail

    told = await stage.ask("POST", PATH, data=b"{}")

    assert told.error == (424, "RuntimeClientError")
    assert told.json["message"] == (
        f"Received error ({status}) from runtime. Please check your CloudWatch logs for more information: out of tokens"
    )
    assert (told.headers["X-Outlast-Task-Ids"], told.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"]) == (
        "7",
        SESSION,
    )
    assert stage.sessions.only.in_flight == 0


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff" * 200_000, b'{"error": {"deep": 1}}', b"[" * 60_000])
async def test_an_error_without_words(stage: Stage, body: bytes) -> None:
    """An error whose body says nothing to people, or too much, is told by its status."""

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, body=body)

    stage.guest.answer = fail

    assert (await _failure(stage, payload=b"{}"))[2].endswith(
        "(500) from runtime. Please check your CloudWatch logs for more information"
    )


async def test_an_agent_that_ends_before_it_answers(stage: Stage) -> None:
    """When the process ends before the answer, the caller hears what has happened to it."""

    async def end(request: web.Request) -> web.StreamResponse:
        stage.sessions.only.told.set_result("the agent has ended with exit code 3")
        await asyncio.Event().wait()
        raise AssertionError

    stage.guest.answer = end

    told = await _failure(stage, payload=b"{}")

    assert told == (424, "RuntimeClientError", "the agent has ended with exit code 3")
    assert stage.sessions.only.in_flight == 0


async def test_an_agent_that_breaks_off_before_it_answers(stage: Stage) -> None:
    """A connection that breaks before the answer, or in a small one, is told as a failure of the agent."""

    async def break_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if len(stage.guest.requests) > 1:
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        request.transport.close()
        return web.Response()

    stage.guest.answer = break_off

    for _ in range(2):
        told = await _failure(stage, payload=b"{}")
        assert told == (424, "RuntimeClientError", "The agent broke the connection off before it had answered")


async def test_an_agent_that_does_not_answer(closed_stage: Stage) -> None:
    """An agent that says nothing for as long as it may is given up with the limit, and hears of it."""
    stage = await closed_stage.open(invocation_timeout=0.1)

    async def wait(request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    stage.guest.answer = wait

    told = await _failure(stage, payload=b"{}")

    assert told == (504, "InternalServerException", "The agent has not answered within 0.1 s")
    await stage.guest.left.wait()


async def test_a_stream_that_breaks_off(stage: Stage) -> None:
    """Who reads server-sent events gets what came and an error event, and does not take it for the end."""

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = await _begin_stream(request, *events(2), b"data: ha")
        stage.sessions.only.told.set_result("the agent has ended with signal 9")
        assert request.transport is not None
        request.transport.abort()
        return response

    stage.guest.answer = break_off

    with pytest.raises(ResponseStreamingError):
        await stage.call("invoke_agent_runtime", payload=b"{}", runtimeSessionId=SESSION)
    stage.sessions.only.told = asyncio.get_running_loop().create_future()
    headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION}
    async with stage.http.post(f"{stage.address}/runtimes/my_agent/invocations", headers=headers) as response:
        read = await response.content.readexactly(len(b"".join(events(2)) + b"data: ha\n\n"))
        last = await response.content.readuntil(b"\n\n")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert read == b"".join(events(2)) + b"data: ha\n\n"
    assert json.loads(last.removeprefix(b"data: ")) == {
        "error": "the agent has ended with signal 9",
        "error_type": "RuntimeClientError",
        "message": "An error occurred during streaming",
    }


async def test_a_session_that_is_stopped_within_a_stream(stage: Stage) -> None:
    """A stream of a session that is told to end breaks off, though the agent does not."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        await response.write(b"some")
        stage.sessions.only.told.set_result("somebody has asked for it")
        await asyncio.Event().wait()
        raise AssertionError

    stage.guest.answer = stream
    headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION}
    async with stage.http.post(f"{stage.address}/runtimes/my_agent/invocations", headers=headers) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await stage.guest.left.wait()


async def test_a_client_that_leaves_a_stream(stage: Stage) -> None:
    """When the reader of a stream leaves, the agent hears of it; the use ends."""

    async def stream(request: web.Request) -> web.StreamResponse:
        await _begin_stream(request, *events(1))
        await asyncio.Event().wait()
        raise AssertionError

    stage.guest.answer = stream
    headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION}
    async with stage.http.post(f"{stage.address}/runtimes/my_agent/invocations", headers=headers) as response:
        await response.content.readany()
    await stage.guest.left.wait()
    assert stage.sessions.only.in_flight == 0


async def test_a_client_that_leaves_before_the_answer(stage: Stage) -> None:
    """When the caller of a plain answer leaves, the agent goes on to its end."""
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        ended.set()
        return web.json_response(1)

    stage.guest.answer = wait
    asking = asyncio.ensure_future(stage.ask("POST", PATH, data=b"{}"))
    await begun.wait()
    asking.cancel()
    await asyncio.wait([asking])
    go_on.set()
    await ended.wait()
    assert not stage.guest.left.is_set()


# -- repeats and cards -------------------------------------------------------------------------------------


async def test_a_repeat_does_not_run_the_agent_again(stage: Stage) -> None:
    """Of two invocations with one id the second gets the first one's answer; another body is another invocation."""
    headers = {"amz-sdk-invocation-id": "5f0c"}
    first = await stage.ask("POST", PATH, headers=headers, data=b"1")
    again = await stage.ask("POST", PATH, headers=headers, data=b"1")
    another = await stage.ask("POST", PATH, headers=headers, data=b"2")

    assert first.body == again.body != another.body
    assert first.headers["x-amzn-RequestId"] == again.headers["x-amzn-RequestId"]
    assert len(stage.guest.requests) == 2


async def test_a_repeat_after_a_failure(stage: Stage) -> None:
    """What the agent has seen is not sent to it again; what it has not seen is."""
    headers = {"amz-sdk-invocation-id": "5f0c"}
    stage.sessions.failure = busy()
    assert (await stage.ask("POST", PATH, headers=headers, data=b"1")).status == 409
    stage.sessions.failure = None

    async def fail(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500)

    stage.guest.answer = fail
    for _ in range(2):
        assert (await stage.ask("POST", PATH, headers=headers, data=b"1")).status == 424
    assert len(stage.guest.requests) == 1


async def test_the_card_that_an_agent_tells(stage: Stage) -> None:
    """GetAgentCard asks the agent in its session; one that has none is an error of the agent's."""

    async def card(request: web.Request) -> web.StreamResponse:
        return web.json_response({"name": "My agent"})

    stage.guest.card = card
    answer = await stage.call("get_agent_card", runtimeSessionId=SESSION)
    assert (answer["agentCard"], answer["runtimeSessionId"]) == ({"name": "My agent"}, SESSION)

    async def none(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    stage.guest.card = none
    assert (await _failure(stage, "get_agent_card"))[:2] == (424, "RuntimeClientError")


async def test_a_card_in_a_file(closed_stage: Stage, tmp_path: Path) -> None:
    """A card that the configuration names is answered without any process."""
    (tmp_path / "card.json").write_text('{"name": "My agent"}')
    stage = await closed_stage.open(agent={"agent_card": tmp_path / "card.json"})

    answer = await stage.call("get_agent_card")

    assert answer["agentCard"] == {"name": "My agent"}
    assert not stage.sessions.live


async def test_commands_are_off(stage: Stage) -> None:
    """InvokeAgentRuntimeCommand is refused where the configuration does not allow it."""
    told = await _failure(stage, "invoke_agent_runtime_command", body={"command": "id"}, runtimeSessionId=SESSION)

    assert told[:2] == (403, "AccessDeniedException")
    assert not stage.sessions.live


async def test_the_ping_of_the_host(stage: Stage) -> None:
    """The host itself answers /ping, to anybody."""
    stage.auth.unreadable = denied()

    told = await stage.ask("GET", "/ping")

    assert (told.status, told.json["status"]) == (200, "Healthy")


def _streaming(*pieces: bytes) -> Any:
    async def stream(request: web.Request) -> web.StreamResponse:
        return await _begin_stream(request, *pieces)

    return stream


async def _begin_stream(request: web.Request, *pieces: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response
