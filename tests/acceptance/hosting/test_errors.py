"""The errors that need a particular state of things, as boto3 tells them (contract section 1.6)."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ResponseStreamingError

from outlast.headers import SESSION_ID

from ...integration.session_host.auth.provider import AUDIENCE, ISSUER, Provider, serving, token
from ...postgres_server import PostgresServer
from ..agent_process import until
from .conftest import PLAIN, TASKS, Hosts
from .host_process import Host, arn, session_id
from .signed_requests import ask

INTERNAL = "InternalServerException"


def refused(host: Host, payload: object, session: str, client: Any = None) -> tuple[int, str, str]:
    """Return status, code and message of an invocation that fails."""
    with pytest.raises(ClientError) as error:
        host.invoke("plain", payload, session, client)
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def test_too_many_requests(hosts: Hosts) -> None:
    """Beyond ``max_requests`` at a time it is 429, which boto3 repeats until there is room."""
    host = hosts.start(PLAIN, "max_requests = 1\n")
    session, other = session_id(), session_id()
    host.invoke("plain", {}, session)
    patient = host.client(retries={"total_max_attempts": 12, "mode": "standard"})
    sent: list[Any] = []
    patient.meta.events.register("before-send.bedrock-agentcore.*", lambda request, **_: sent.append(request))
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(refused, host, {"sleep": 60}, session)
        until(lambda: host.session("plain", session)["inFlight"] == 1, "the invocation")
        status, code, message = refused(host, {}, other)
        assert (status, code) == (429, "ThrottlingException")
        assert "1 requests are under way" in message
        assert [one["sessionId"] for one in host.sessions()] == [session]
        repeated = pool.submit(host.invoke, "plain", {}, other, patient)
        until(lambda: len(sent) > 1, "the repeat")
        host.stop_session("plain", session)
        assert repeated.result()["count"] == 1
        assert waiting.result()[1] == "RuntimeClientError"


def test_an_answer_too_large_to_give_twice(hosts: Hosts) -> None:
    """A repeat of an invocation whose answer was not kept is 409 ConflictException; the agent does not run again."""
    host = hosts.start(PLAIN, 'repeat_bytes = "10KB"\n')
    session = session_id()
    client = host.client()

    def name_it(request: Any, **_: Any) -> None:
        request.headers["amz-sdk-invocation-id"] = "the-same-one"

    client.meta.events.register("before-send.bedrock-agentcore.InvokeAgentRuntime", name_it)

    def invoke(payload: bytes) -> Any:
        answer = client.invoke_agent_runtime(
            agentRuntimeArn=arn("plain"), runtimeSessionId=session, payload=payload, qualifier="DEFAULT"
        )
        return answer["response"].read()

    assert invoke(b'{"size": 1000}') == invoke(b'{"size": 1000}')
    assert len(invoke(b'{"size": 20000}')) == 20_000
    for _ in range(2):
        with pytest.raises(ClientError) as error:
            invoke(b'{"size": 20000}')
        assert error.value.response["Error"]["Code"] == "ConflictException"
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert host.invoke("plain", {}, session)["count"] == 3


def test_no_answer_in_time(hosts: Hosts) -> None:
    """An agent that has not begun to answer within ``invocation_timeout`` is 504; a stream that has goes on."""
    host = hosts.start(PLAIN, 'invocation_timeout = "1s"\n')
    session = session_id()
    client = host.client()
    host.invoke("plain", {}, session, client)
    assert refused(host, {"sleep": 20}, session)[:2] == (504, INTERNAL)
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=arn("plain"), runtimeSessionId=session, payload=b'{"stream": 4, "every": 0.5}'
    )
    assert answer["response"].read().count(b"data: ") == 4
    assert host.invoke("plain", {}, session)["count"] == 4


def test_a_stream_that_breaks(hosts: Hosts) -> None:
    """When the agent dies within a stream, an event says why, and the read breaks: it is no whole answer."""
    host = hosts.start(PLAIN)
    session = session_id()
    answer = host.client().invoke_agent_runtime(
        agentRuntimeArn=arn("plain"), runtimeSessionId=session, payload=b'{"stream": 2, "then": "exit"}'
    )
    lines: list[bytes] = []
    with pytest.raises(ResponseStreamingError):
        lines.extend(answer["response"].iter_lines(chunk_size=1))
    events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
    assert [event.get("chunk") for event in events] == [0, 1, None]
    assert events[2]["error_type"] == "RuntimeClientError"
    assert "exit code 0" in events[2]["error"]
    assert host.invoke("plain", {}, session)["count"] == 1


def test_no_agent_card(hosts: Hosts) -> None:
    """GetAgentCard of an agent that has none is what the agent answers: 424."""
    host = hosts.start(PLAIN)
    with pytest.raises(ClientError) as error:
        host.client().get_agent_card(agentRuntimeArn=arn("plain"))
    assert error.value.response["Error"]["Code"] == "RuntimeClientError"
    assert "Received error (404) from runtime" in error.value.response["Error"]["Message"]


async def test_only_bearer_tokens(hosts: Hosts) -> None:
    """Where only JWT is configured, whoever shows no good token gets 401; a good one binds sessions to its user."""
    async with serving(hosts.folder) as provider:
        await asyncio.to_thread(check_bearer_tokens, hosts, provider)


def check_bearer_tokens(hosts: Hosts, provider: Provider) -> None:
    """Ask a host that trusts the provider, which the caller's loop serves."""
    auth = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": provider.url, "jwks_ca": str(provider.authority)}
    table = "\n[auth.jwt]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in auth.items())
    host = hosts.start(PLAIN + table, variables={"OUTLAST_TOKEN": "the-operators"})
    session = session_id()

    def invoke(shown: str | None, payload: bytes = b"{}") -> tuple[int, dict[str, str], Any]:
        headers = {SESSION_ID: session} | ({} if shown is None else {"Authorization": shown})
        return ask(host, "POST", "/runtimes/plain/invocations", headers=headers, body=payload)

    wrong = ("Bearer x", "Bearer " + token(aud="others"), "Bearer " + token(exp=1), "Basic eDp5", None)
    for shown in wrong:
        status, headers, body = invoke(shown)
        assert (status, headers["x-amzn-errortype"]) == (401, "UnauthorizedException"), shown
        assert headers["www-authenticate"].startswith("Bearer")
        assert body == {"message": "Unauthorized"}
    with pytest.raises(ClientError) as error:  # boto3 can only sign
        host.invoke("plain", {}, session)
    assert error.value.response["Error"]["Code"] == "UnauthorizedException"
    assert not hosts.guests()

    status, _, body = invoke("Bearer " + token(sub="ann"), b'{"headers": true}')
    assert (status, body["headers"]["x-amzn-bedrock-agentcore-runtime-user-id"]) == (200, "ann")
    assert "authorization" not in body["headers"]
    assert invoke("Bearer " + token(sub="bob"))[0] == 403
    shown = host.get("/sessions", {"Authorization": "Bearer the-operators"})["sessions"]
    assert [one["user"] for one in shown] == ["ann"]


def test_a_session_of_another_host(hosts: Hosts, postgres_url: str) -> None:
    """A session that another host of the same store has is 409 ConflictException, until that host lets it go."""
    store = f'store = "{postgres_url}"\n'
    first = hosts.start(TASKS + PLAIN, store + 'name = "first"\n')
    second = hosts.start(TASKS + PLAIN, store + 'name = "second"\nfolder = "second"\n')
    session = session_id()
    pid = first.invoke("plain", {}, session)["pid"]
    status, code, message = refused(second, {}, session)
    assert (status, code) == (409, "ConflictException")
    assert "first" in message
    assert [one["host"] for one in second.sessions()] == ["first"]
    first.stop_session("plain", session)
    assert second.invoke("plain", {}, session)["pid"] != pid
    assert refused(first, {}, session)[:2] == (409, "ConflictException")


def test_a_store_that_is_away(hosts: Hosts, postgres_server: PostgresServer, postgres_url: str) -> None:
    """Without its store a host keeps what runs, and answers 500 or 503 to what it cannot know; it comes back."""
    host = hosts.start(PLAIN, f'store = "{postgres_url}"\n')
    session, new = session_id(), session_id()
    pid = host.invoke("plain", {}, session)["pid"]
    postgres_server.stop()
    status, code, _ = refused(host, {}, new)
    assert (status, code) in ((500, INTERNAL), (503, INTERNAL))
    status, headers, _ = ask(host, "GET", "/sessions")
    assert (status, headers["x-amzn-errortype"]) in ((500, INTERNAL), (503, INTERNAL))
    assert host.invoke("plain", {}, session)["pid"] == pid
    postgres_server.start()
    patient = host.client(retries={"total_max_attempts": 10, "mode": "standard"})
    assert host.invoke("plain", {}, new, patient)["count"] == 1
    assert host.invoke("plain", {}, session, patient)["pid"] == pid
