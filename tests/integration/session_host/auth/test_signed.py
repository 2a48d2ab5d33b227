"""Requests that boto3 signs, against configured keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from .gate import ARN, Boto, Serve, SignedRequest

ALICE = {"name": "key:alice", "operator": False, "prefix": "session-", "user": "alice"}
EVERYTHING = {
    "contentType": "application/json",
    "accept": "text/event-stream",
    "runtimeUserId": "a user  with   spaces ",
    "mcpSessionId": "m",
    "mcpProtocolVersion": "1",
    "traceId": "Root=1-5759e988-bd862e3fe1be46a994272793",
    "traceParent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "traceState": "a=b",
    "baggage": "c=d",
    "qualifier": "DEFAULT ~/+%&=é",
    "accountId": "123456789012",
}


@pytest.fixture(params=["botocore", "awscrt"])
def signer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 sign with botocore's own signer, and with that of awscrt, which it takes where it is installed."""
    if request.param == "botocore":
        monkeypatch.setitem(botocore.auth.AUTH_TYPE_MAPS, "v4", botocore.auth.SigV4Auth)
    elif not botocore.auth.HAS_CRT:
        pytest.skip("awscrt is not installed")


@pytest.mark.usefixtures("signer")
@pytest.mark.parametrize("arn", [ARN, "my_agent", "a b/~*é%2F:.", "my-agent"])
@pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["little", "everything"])
@pytest.mark.parametrize("token", [None, "an-sts-token"])
async def test_boto3_is_let_in(
    serve: Serve, keys: dict[str, Any], arn: str, parameters: dict[str, Any], token: str | None
) -> None:
    """Whatever an invocation says, and with credentials of STS, as whom the key stands for."""
    served = await serve(keys)

    assert await Boto(served.url, token=token).invoke(agentRuntimeArn=arn, **parameters) == ALICE


@pytest.mark.usefixtures("signer")
async def test_every_operation_is_let_in(serve: Serve, keys: dict[str, Any]) -> None:
    """Those without a body, and those with one that boto3 makes; a body of some size is signed too."""
    served = await serve(keys)
    boto = Boto(served.url)
    session = {"agentRuntimeArn": ARN, "runtimeSessionId": "s" * 33}

    await boto.call("stop_runtime_session", **session)
    await boto.call("get_agent_card", **session)
    assert await boto.invoke(b"\x00\xff" * 300_000) == ALICE
    assert await boto.invoke(b"") == ALICE


async def test_any_region_will_do_unless_one_is_asked_for(serve: Serve, keys: dict[str, Any]) -> None:
    """The region is part of the signature."""
    anywhere, here = await serve(keys), await serve({**keys, "region": "eu-central-1"})

    assert await Boto(anywhere.url, region="ap-southeast-2").invoke() == ALICE
    assert await Boto(here.url, region="eu-central-1").invoke() == ALICE
    with pytest.raises(ClientError, match="AccessDeniedException"):
        await Boto(here.url, region="eu-central-2").invoke()


async def test_the_operators_token_is_let_in_beside_keys(serve: Serve, keys: dict[str, Any]) -> None:
    """Another token is not, nor one beside another credential."""
    served = await serve(keys)

    answer = await served.ask("GET", "/sessions", {"Authorization": "Bearer operators"})
    assert answer.json["name"] == "operator"
    assert answer.json["operator"]
    assert (await served.ask("GET", "/sessions", {"Authorization": "Bearer operator"})).status == 403
    twice = [("Authorization", "Bearer operators"), ("Authorization", "Bearer other")]
    assert (await served.ask("GET", "/sessions", twice)).status == 403


Change = Callable[[SignedRequest], object]


def _set(name: str, value: str) -> Change:
    return lambda request: request.headers.__setitem__(name, value)


def _add(name: str, value: str) -> Change:
    return lambda request: request.headers.add(name, value)


def _without(name: str) -> Change:
    return lambda request: request.headers.popall(name)


def _replace(old: str, new: str, name: str = "Authorization") -> Change:
    def change(request: SignedRequest) -> None:
        assert old in request.headers[name]
        request.headers[name] = request.headers[name].replace(old, new)

    return change


def _target(old: str, new: str) -> Change:
    def change(request: SignedRequest) -> None:
        assert old in request.target
        request.target = request.target.replace(old, new)

    return change


def _attribute(name: str, value: object) -> Change:
    return lambda request: setattr(request, name, value)


SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
TAMPERED = {
    "another body": _attribute("body", b'{"prompt": "else"}'),
    "no body": _attribute("body", b""),
    "another method": _attribute("method", "PUT"),
    "another agent": _target("my_agent", "my_other"),
    "an agent said in another way": _target("%2F", "/"),
    "an agent encoded in another way": _target("%3A", ":"),
    "another operation": _target("/invocations", "/commands"),
    "a detour": _target("/invocations", "/x/../invocations"),
    "two slashes": _target("/invocations", "//invocations"),
    "a dot": _target("/invocations", "/./invocations"),
    "another query": _target("qualifier=DEFAULT", "qualifier=OTHER"),
    "more of a query": _target("qualifier=DEFAULT", "qualifier=DEFAULT&accountId=123456789012"),
    "no query": _target("?qualifier=DEFAULT", ""),
    "another session": _set(SESSION_HEADER, "session-of-at-least-33-characters-2"),
    "a second session": _add(SESSION_HEADER, "session-of-at-least-33-characters-2"),
    "no session": _without(SESSION_HEADER),
    "another user": _set("X-Amzn-Bedrock-AgentCore-Runtime-User-Id", "eve"),
    "a header of ours that is not signed": _set("X-Amzn-Bedrock-AgentCore-Runtime-Custom-A", "b"),
    "an MCP session that is not signed": _set("Mcp-Session-Id", "m"),
    "another content type": _set("Content-Type", "text/plain"),
    "another date": _set("X-Amz-Date", "20200101T000000Z"),
    "a second date": _add("X-Amz-Date", "20200101T000000Z"),
    "a date that is none": _set("X-Amz-Date", "20269999T999999Z"),
    "no date": _without("X-Amz-Date"),
    "another host": _set("Host", "example.com"),
    "a session that is signed no more": _replace(";x-amzn-bedrock-agentcore-runtime-session-id", ""),
    "a host that is signed no more": _replace("host;", ""),
    "a date that is signed no more": _replace("x-amz-date;", ""),
    "a signed header that is not there": _replace("host;", "host;x-a;"),
    "signed headers in another order": _replace("host;x-amz-date", "x-amz-date;host"),
    "a header signed twice": _replace("host;", "host;host;"),
    "another key": _replace("AKIDEXAMPLE", "AKIDOTHER"),
    "another region": _replace("us-west-2", "us-west-1"),
    "another service": _replace("bedrock-agentcore/", "s3/"),
    "another end of the scope": _replace("aws4_request", "aws5_request"),
    "another algorithm": _replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
    "another signature": lambda request: _replace("Signature=", "Signature=0")(request),
    "no signature": _without("Authorization"),
    "another scheme": _set("Authorization", "Basic YTpi"),
    "nothing but the scheme": _set("Authorization", "AWS4-HMAC-SHA256"),
    "two signatures": _add("Authorization", "AWS4-HMAC-SHA256 Credential=a"),
    "a body said not to be signed": _set("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
    "a token of STS that is not signed": _set("X-Amz-Security-Token", "t"),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
async def test_whatever_was_altered_is_not_let_in(serve: Serve, keys: dict[str, Any], change: Change) -> None:
    """The answer is 403, the same for everything; before the change, the same request was let in."""
    served = await serve(keys)
    signed = await Boto(served.url).sign(b'{"prompt": "hi"}', qualifier="DEFAULT")
    assert (await served.send(signed)).json == ALICE

    change(signed)
    answer = await served.send(signed)

    assert answer.status == 403
    assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    assert answer.json == {"message": "Access denied"}


async def test_what_nobody_signs_may_change_on_the_way(serve: Serve, keys: dict[str, Any]) -> None:
    """Headers of traces, and those that a proxy adds."""
    served = await serve(keys)
    signed = await Boto(served.url).sign(traceId="a")
    for name in ("X-Amzn-Trace-Id", "traceparent", "X-Forwarded-For", "Accept", "User-Agent"):
        signed.headers[name] = "1"

    assert (await served.send(signed)).json == ALICE


@pytest.mark.parametrize(("minutes", "status"), [(-16, 403), (-14, 200), (14, 200), (16, 403)])
async def test_a_signature_holds_for_fifteen_minutes(
    serve: Serve, keys: dict[str, Any], minutes: int, status: int
) -> None:
    """To either side, since the client's clock may be off."""
    served = await serve(keys)
    served.clock.by = timedelta(minutes=minutes)

    assert (await served.send(await Boto(served.url).sign())).status == status


async def test_another_secret_is_of_no_use(serve: Serve, keys: dict[str, Any]) -> None:
    """Nor is another access key."""
    served = await serve(keys)

    for boto in (Boto(served.url, secret="other"), Boto(served.url, access_key="AKIDOTHER")):
        with pytest.raises(ClientError, match="AccessDeniedException"):
            await boto.invoke()


async def test_no_body_is_read_of_what_can_never_be_believed(serve: Serve, keys: dict[str, Any]) -> None:
    """The answer is there before the body has been sent."""
    served = await serve(keys)
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"POST /runtimes/a/invocations HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 403")
    assert served.gate.bodies == 0
    writer.close()
    await writer.wait_closed()
