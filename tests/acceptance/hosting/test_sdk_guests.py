"""Programs for the original SDK, run with that SDK, as guests of a session host."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from websockets.sync.client import connect

from outlast.headers import SESSION_ID

from ..agent_process import until
from .conftest import SDK, Hosts
from .host_process import GUESTS, arn, session_id

#: Programs of tests that compare outlast with the original SDK, as they are.
PROGRAMS = GUESTS.parents[2] / "differential" / "programs"


def program(name: str) -> str:
    """Return the table of an agent that runs one of those programs, which want a PORT, with the original SDK."""
    return SDK.replace("[agents.sdk]", f"[agents.{name}]").replace(str(GUESTS / "sdk.py"), str(PROGRAMS / f"{name}.py"))


def test_errors_and_large_payloads(hosts: Hosts) -> None:
    """An exception of the handler is 424 with its text; 5 MB go both ways, and the session goes on."""
    host = hosts.start(SDK)
    session = session_id()
    pid = host.invoke("sdk", {}, session)["pid"]
    with pytest.raises(ClientError) as error:
        host.invoke("sdk", {"fail": "no such luck"}, session)
    response: Any = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "RuntimeClientError"
    assert "Received error (500) from runtime" in response["Error"]["Message"]
    assert response["Error"]["Message"].endswith(": no such luck")

    large = {"text": "0123456789" * 500_000}
    answer = host.invoke("sdk", large, session)
    assert answer["echo"] == large
    assert (answer["pid"], answer["module"]) == (pid, "bedrock_agentcore.runtime.app")


@pytest.mark.parametrize("how", ["work", "by_hand"])
def test_work_keeps_the_session(hosts: Hosts, how: str) -> None:
    """What the SDK tracks, by decorator or by hand, keeps a session beyond its idle timeout; then it idles out."""
    host = hosts.start(SDK + 'idle_timeout = "1s"\n', 'ping_interval = "0.2s"\n')
    session = session_id()
    host.invoke("sdk", {how: 3}, session)
    until(lambda: bool(host.session("sdk", session)["busy"]), "the HealthyBusy of the guest")
    assert host.session("sdk", session)["inFlight"] == 0
    until(lambda: host.session("sdk", session)["state"] == "STOPPED", "the end of the idle session")
    shown = host.session("sdk", session)
    assert shown["endReason"] == "IDLE_TIMEOUT"
    lived = datetime.fromisoformat(shown["endTime"]) - datetime.fromisoformat(shown["readyTime"])
    assert lived.total_seconds() >= 3.5  # the work, and then the timeout; pings come in between


def test_a_websocket(hosts: Hosts) -> None:
    """A client's WebSocket reaches the program's own handler, in the process of its session."""
    host = hosts.start(SDK)
    session = session_id()
    pid = host.invoke("sdk", {}, session)["pid"]
    url = host.address.replace("http", "ws") + "/runtimes/sdk/ws"
    with connect(url, additional_headers={SESSION_ID: session}) as socket:
        assert json.loads(socket.recv()) == {"pid": pid, "session": session}
        socket.send("hello")
        assert socket.recv() == "HELLO"


def test_a_killed_host(hosts: Hosts) -> None:
    """When the host is killed, so are the program's processes; the id works again on the next host."""
    host = hosts.start(SDK)
    session = session_id()
    pid = host.invoke("sdk", {"work": 600}, session)["pid"]
    assert pid in hosts.guests()
    host.kill()
    until(lambda: not hosts.guests(), "the end of the program")
    host = hosts.start(SDK)
    assert host.session("sdk", session)["endReason"] == "HOST_LOST"
    answer = host.invoke("sdk", {}, session)
    assert answer["pid"] != pid
    assert answer["session"] == session


def test_the_agent_card_of_a_guest(hosts: Hosts) -> None:
    """GetAgentCard asks the program when no file is configured."""
    host = hosts.start(SDK)
    answer = host.client().get_agent_card(agentRuntimeArn=arn("sdk"), runtimeSessionId=session_id())
    assert answer["agentCard"] == {"name": "sdk", "url": "/.well-known/agent-card.json"}
    assert answer["statusCode"] == 200
    assert len(host.sessions()) == 1


def test_programs_as_they_are(hosts: Hosts) -> None:
    """Programs that were written for other tests see the request, stream, and are busy, without any change."""
    host = hosts.start(program("echo") + program("tracked"), 'ping_interval = "0.2s"\n')
    client = host.client()
    session = session_id()
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=arn("echo"), runtimeSessionId=session, payload=b'{"a": "\xc3\xa9"}', baggage="k=v"
    )
    seen = json.loads(answer["response"].read())
    assert seen["payload"] == {"a": "é"}
    assert seen["session"] == seen["context"]["session_id"] == session
    assert seen["context"]["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert seen["headers"]["baggage"] == "k=v"
    assert not [name for name in seen["headers"] if "secret" in name.lower()]
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=arn("echo"), runtimeSessionId=session, payload=b'{"how": "async items", "items": [1, "two"]}'
    )
    lines = [line for line in answer["response"].iter_lines(chunk_size=1) if line.startswith(b"data: ")]
    assert lines == [b"data: 1", b'data: "two"']

    host.invoke("tracked", {"do": "add", "name": "by hand"}, session, client)
    until(lambda: bool(host.session("tracked", session)["busy"]), "the HealthyBusy of the guest")
    assert host.invoke("tracked", {"do": "call", "value": 21}, session, client) == 42
    assert host.invoke("tracked", {"do": "complete"}, session, client) is True
    until(lambda: not host.session("tracked", session)["busy"], "the Healthy of the guest")
