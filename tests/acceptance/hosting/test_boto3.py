"""The client API, as boto3 speaks it: unmodified, but for ``endpoint_url``."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ..agent_process import until
from .conftest import PLAIN, SDK, TASKS, Hosts
from .host_process import arn, session_id


@pytest.fixture(scope="module")
def agents() -> str:
    """Return the tables of every kind of guest, of which the plain one may run commands."""
    return PLAIN + "commands = true\n" + TASKS + SDK


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str, str]:
    """Return status, code and message of an error."""
    response: Any = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


@pytest.mark.parametrize("agent", ["plain", "tasks", "sdk"])
def test_one_process_for_each_session(hosts: Hosts, agents: str, agent: str) -> None:
    """The same id meets the same process, another id another one, and a stopped id a new one."""
    host = hosts.start(agents)
    client = host.client()
    first, second = session_id(), session_id()

    pids = [host.invoke(agent, {}, session, client)["pid"] for session in (first, second, first, second)]
    assert pids[:2] == pids[2:]
    assert pids[0] != pids[1]

    host.stop_session(agent, first, client)
    assert pids[0] not in hosts.guests()
    assert pids[1] in hosts.guests()
    assert host.invoke(agent, {}, first, client)["pid"] != pids[0]


def test_an_answer_in_json(hosts: Hosts) -> None:
    """What boto3 makes of an answer: status, type, session id, request id, trace headers, body; and bare names do."""
    host = hosts.start()
    session = session_id()
    for name in (arn("plain"), "plain", "plain-AbCdEf1234"):
        answer = host.client().invoke_agent_runtime(
            agentRuntimeArn=name,
            runtimeSessionId=session,
            payload=b'{"headers": true}',
            contentType="application/json",
            runtimeUserId="ann",
            traceParent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            qualifier="DEFAULT",
        )
        assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, session)
        assert answer["contentType"].startswith("application/json")
        body = json.loads(answer["response"].read())
        assert body["session"] == session
        assert body["headers"]["x-amzn-bedrock-agentcore-runtime-user-id"] == "ann"
        assert body["headers"]["traceparent"].startswith("00-4bf92f")
        request_id = body["headers"]["x-amzn-bedrock-agentcore-runtime-request-id"]
        assert answer["ResponseMetadata"]["RequestId"] == request_id
        assert not {"authorization", "x-amz-date", "amz-sdk-invocation-id"} & set(body["headers"])


def test_a_session_id_that_boto3_makes(hosts: Hosts) -> None:
    """Without a session id boto3 makes one, and is told it."""
    host = hosts.start()
    answer = host.client().invoke_agent_runtime(agentRuntimeArn=arn("plain"), payload=b"{}")
    assert json.loads(answer["response"].read())["session"] == answer["runtimeSessionId"]


@pytest.mark.parametrize("agent", ["plain", "tasks", "sdk"])
def test_a_stream_comes_as_it_is_made(hosts: Hosts, agents: str, agent: str) -> None:
    """Chunks reach boto3 one by one."""
    host = hosts.start(agents)
    payload = {"plain": {"stream": 3, "every": 0.2}, "tasks": {"do": "stream", "count": 3}, "sdk": {"stream": 3}}[agent]
    answer = host.client().invoke_agent_runtime(agentRuntimeArn=arn(agent), payload=json.dumps(payload).encode())
    assert answer["contentType"].startswith("text/event-stream")
    lines = [line for line in answer["response"].iter_lines(chunk_size=1) if line.startswith(b"data: ")]
    assert len(lines) == 3


def test_large_payloads(hosts: Hosts) -> None:
    """A payload of 100,000,000 bytes comes through, both ways; one byte more is refused."""
    host = hosts.start()
    client = host.client(read_timeout=120)
    client.invoke_agent_runtime(agentRuntimeArn=arn("plain"), payload=b" " * 99_999_998 + b"{}")
    answer = client.invoke_agent_runtime(agentRuntimeArn=arn("plain"), payload=b'{"size": 100000000}')
    assert sum(len(piece) for piece in answer["response"].iter_chunks(1 << 20)) == 100_000_000
    with pytest.raises(ClientError) as refused:
        client.invoke_agent_runtime(agentRuntimeArn=arn("plain"), payload=b" " * 100_000_001)
    assert code_of(refused)[:2] == (400, "ValidationException")
    assert host.memory() < 400_000_000


def test_errors(hosts: Hosts) -> None:
    """Each error has the status and the code that the contract has for it (section 1.6)."""
    host = hosts.start(PLAIN + "max_sessions = 1\n")
    client = host.client()
    session = session_id()

    def refused(**given: Any) -> tuple[int, str, str]:
        with pytest.raises(ClientError) as error:
            client.invoke_agent_runtime(
                **{"agentRuntimeArn": arn("plain"), "runtimeSessionId": session, "payload": b"{}", **given}
            )
        return code_of(error)

    assert refused(payload=b'{"status": 418}')[:2] == (424, "RuntimeClientError")
    assert "Received error (503) from runtime" in refused(payload=b'{"status": 503}')[2]
    assert refused(agentRuntimeArn=arn("nobody"))[:2] == (404, "ResourceNotFoundException")
    assert refused(qualifier="PROD")[:2] == (404, "ResourceNotFoundException")
    assert refused(runtimeSessionId="x" * 257)[:2] == (400, "ValidationException")
    assert refused(runtimeSessionId="/" * 40)[:2] == (400, "ValidationException")
    assert refused(runtimeSessionId=session_id())[:2] == (402, "ServiceQuotaExceededException")
    with pytest.raises(ClientError) as error:
        host.stop_session("plain", session_id(), client)
    assert code_of(error)[:2] == (404, "ResourceNotFoundException")
    with pytest.raises(ClientError) as error:
        client.invoke_agent_runtime_command(
            agentRuntimeArn=arn("plain"), runtimeSessionId=session, body={"command": "true"}
        )
    assert code_of(error)[:2] == (403, "AccessDeniedException")


def test_nobody_else_while_a_session_starts(hosts: Hosts) -> None:
    """While a session starts, others are answered 409 RetryableConflict; boto3 repeats that by itself."""
    slow = (
        PLAIN.replace("environment = {", "environment = {{ PLAIN_START = '{{\"sleep\": 2}}',")
        .replace("{{", "{")
        .replace("}}", "}")
    )
    host = hosts.start(slow)
    session = session_id()
    first = threading.Thread(target=lambda: host.invoke("plain", {}, session))
    first.start()
    until(lambda: any(one["state"] == "STARTING" for one in host.sessions()), "the start")
    with pytest.raises(ClientError) as refused:
        host.invoke("plain", {}, session)
    assert code_of(refused)[:2] == (409, "RetryableConflictException")
    first.join()
    assert host.invoke("plain", {}, session)["count"] == 2


def test_a_repeat_runs_nothing_twice(hosts: Hosts) -> None:
    """boto3 gives up after its read timeout and asks again: the agent runs once, and the answer is the first run's."""
    host = hosts.start()
    session = session_id()
    host.invoke("plain", {}, session)
    patient = host.client(read_timeout=2, retries={"total_max_attempts": 4, "mode": "standard"})
    answer = host.invoke("plain", {"sleep": 3}, session, patient)
    assert answer["count"] == 2
    hurried = host.client(read_timeout=0.5, retries={"total_max_attempts": 2, "mode": "standard"})
    with pytest.raises(ReadTimeoutError):
        host.invoke("plain", {"sleep": 3}, session, hurried)
    assert host.invoke("plain", {}, session)["count"] == 4


def test_stop_ends_what_is_under_way(hosts: Hosts) -> None:
    """A stop breaks off the answer that is under way, and the caller is told."""
    host = hosts.start()
    session = session_id()
    host.invoke("plain", {}, session)
    told: list[Any] = []

    def wait() -> None:
        with pytest.raises(ClientError) as error:
            host.invoke("plain", {"sleep": 60}, session)
        told.append(code_of(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: host.session("plain", session)["inFlight"] == 1, "the invocation")
    host.stop_session("plain", session)
    waiting.join()
    assert told[0][:2] == (424, "RuntimeClientError")
    assert host.session("plain", session)["state"] == "STOPPED"
    assert host.session("plain", session)["endReason"] == "STOP_REQUESTED"


def test_commands(hosts: Hosts, agents: str) -> None:
    """A command's output comes as events, with its exit code; one that takes too long is killed."""
    host = hosts.start(agents)
    client = host.client()
    session = session_id()

    def run(command: str, timeout: int = 30) -> list[Any]:
        answer = client.invoke_agent_runtime_command(
            agentRuntimeArn=arn("plain"), runtimeSessionId=session, body={"command": command, "timeout": timeout}
        )
        return [event["chunk"] for event in answer["stream"]]

    events = run("echo out; echo err >&2; exit 3")
    assert "contentStart" in events[0]
    assert "".join(event.get("contentDelta", {}).get("stdout", "") for event in events) == "out\n"
    assert "".join(event.get("contentDelta", {}).get("stderr", "") for event in events) == "err\n"
    assert events[-1]["contentStop"] == {"exitCode": 3, "status": "COMPLETED"}
    assert run("sleep 600", timeout=1)[-1]["contentStop"]["status"] == "TIMED_OUT"


def test_agent_card(hosts: Hosts) -> None:
    """GetAgentCard answers the configured card, without a session."""
    (hosts.folder / "card.json").write_text('{"name": "plain"}')
    host = hosts.start(PLAIN + f'agent_card = "{hosts.folder}/card.json"\n')
    answer = host.client().get_agent_card(agentRuntimeArn=arn("plain"))
    assert answer["agentCard"] == {"name": "plain"}
    assert host.sessions() == []
