"""The image as a session host."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from .container import HTTP, PROGRAMS, STATE, TOKEN, Container, Containers

pytestmark = pytest.mark.image

HOST = ("host", "outlast.toml")
OPERATOR = f"Authorization: Bearer {TOKEN}"
VARIABLES = {"OUTLAST_TOKEN": TOKEN, "CALLER_SECRET": "container-secret"}
FIRST, SECOND = "session-of-ann-00000000000000000001", "session-of-bob-00000000000000000002"


def call(host: Container, *steps: object) -> Any:
    """Have boto3 do something outside; return what the agent answers."""
    client = str(PROGRAMS / "call_host.py")
    done = host.engine.run_in_network(sys.executable, client, f"http://{host.address(HTTP)}", json.dumps(steps))
    assert done.returncode == 0, f"{done.stderr}\n{host.told()}"
    return json.loads(done.stdout)


def states(host: Container) -> dict[str, tuple[str, str]]:
    """Return how each session is, and why it ended, as an operator outside is told."""
    listed = host.http("GET", "/sessions", None, OPERATOR).json["sessions"]
    return {session["sessionId"]: (session["state"], session.get("endReason", "")) for session in listed}


def test_it_wants_credentials(containers: Containers) -> None:
    """Without any it does not start, and says what would do."""
    refusal = containers.refusal("host", "agent.py")

    assert "nobody but this machine is served without credentials, and others can reach 0.0.0.0:8080" in refusal
    assert "OUTLAST_TOKEN" in refusal


def test_each_session_has_a_process(containers: Containers) -> None:
    """On a volume that is its group's, as in Kubernetes: boto3 is served outside, and sessions end with the host."""
    volume = containers.volume()
    own = f"chown 0:1000 {STATE} && chmod 2775 {STATE}"
    rights = ("--user", "0", "--entrypoint", "sh", "--volume", f"{volume}:{STATE}")
    containers.engine.docker("run", "--rm", *rights, containers.image, "-c", own)
    host = containers.run(HOST, "--health-interval", "1s", volume=volume, **VARIABLES).ready()

    one, two, same = call(host, ["invoke", FIRST, {}], ["invoke", SECOND, {}], ["invoke", FIRST, {}])
    assert one["session"] == FIRST
    assert one["pid"] == same["pid"] != two["pid"]
    assert one["folder"].startswith(STATE)
    assert states(host) == {FIRST: ("IDLE", ""), SECOND: ("IDLE", "")}
    assert host.http("GET", "/sessions").status == 403

    (again,) = call(host, ["stop", FIRST], ["invoke", FIRST, {"do": "quick", "topic": "tides"}])
    assert again["pid"] != one["pid"]
    host.healthy()
    assert host.execute("outlast", "health") == "127.0.0.1:8080 is Healthy"
    assert host.stop() == 0
    host.start()
    assert {state for state, _ in states(host).values()} == {"STOPPED"}

    call(host, ["invoke", FIRST, {}])
    host.kill()
    heir = containers.run(HOST, volume=volume, **VARIABLES).ready()
    assert states(heir)[FIRST] == ("STOPPED", "HOST_LOST")
    assert call(heir, ["invoke", FIRST, {}])[0]["session"] == FIRST
