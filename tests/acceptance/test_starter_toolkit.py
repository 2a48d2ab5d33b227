"""The starter toolkit of the original, as it is installed, against ``outlast run``: how its users try an agent out.

``agentcore invoke --dev`` runs as it is. ``agentcore invoke --local`` first talks to the identity service of AWS, so
here the client that it then uses is run on its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .agent_process import PATIENCE, Agent
from .conftest import Launcher

AGENTCORE = Path(sysconfig.get_path("scripts")) / "agentcore"
CALLBACK = "http://localhost:8081/oauth2/callback"
CUSTOM = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Tenant"
LOCAL = """
import json, sys
from bedrock_agentcore_starter_toolkit.services.runtime import LocalBedrockAgentCoreClient

address, session, payload, token, callback, headers = sys.argv[1:]
client = LocalBedrockAgentCoreClient(address)
answer = client.invoke_endpoint(session, payload, token, callback, json.loads(headers))
print(json.dumps(answer))
"""


@pytest.fixture
def agent(launch: Launcher) -> Agent:
    """Serve an agent."""
    return launch.ready("toolkit_agent.py")


def run(folder: Path, *command: str) -> str:
    """Run a command of the toolkit's to its end; return what it says."""
    environment = {**os.environ, "AGENTCORE_SUPPRESS_RECOMMENDATION": "1", "NO_PROXY": "*", "COLUMNS": "1000"}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dev(agent: Agent, folder: Path, payload: str, *options: str) -> str:
    """Run ``agentcore invoke --dev``."""
    port = str(urlsplit(agent.address).port)
    return run(folder, str(AGENTCORE), "invoke", "--dev", "--port", port, *options, payload)


def local(agent: Agent, folder: Path, payload: str, headers: dict[str, str]) -> str:
    """Run the client of ``agentcore invoke --local``."""
    told = (agent.address, "a-session", payload, "a-token", CALLBACK, json.dumps(headers))
    return run(folder, sys.executable, "-c", LOCAL, *told)


@pytest.mark.parametrize("payload", ['{"prompt": "hi there"}', "hi there"], ids=["object", "text"])
def test_dev(agent: Agent, tmp_path: Path, payload: str) -> None:
    """``agentcore invoke --dev`` shows the answer; a payload that is no JSON is the prompt."""
    told = dev(agent, tmp_path, payload, "--session-id", "short")

    assert "Response from dev server" in told
    assert "You said hi there" in told
    assert '"session": "short"' in told


def test_dev_streaming(agent: Agent, tmp_path: Path) -> None:
    """``agentcore invoke --dev`` puts the pieces of a stream together."""
    told = dev(agent, tmp_path, json.dumps({"prompt": "one two three", "stream": True}))

    assert 'one two three {"done": true}' in told


def test_local(agent: Agent, tmp_path: Path) -> None:
    """``--local`` gets the answer, and the agent what it is sent: session, token, callback and own headers."""
    told = json.loads(local(agent, tmp_path, '{"prompt": "hi"}', {CUSTOM: "t"}))

    assert json.loads(told["response"]) == {
        "response": "You said hi",
        "session": "a-session",
        "token": "a-token",
        "callback": CALLBACK,
        "headers": {CUSTOM.lower(): "t", "oauth2callbackurl": CALLBACK},
    }


def test_local_with_a_payload_that_is_no_json(agent: Agent, tmp_path: Path) -> None:
    """``--local`` wraps such a payload, and gets its answer."""
    told = json.loads(local(agent, tmp_path, "hi there", {}))

    assert json.loads(told["response"])["response"] == "You said hi there"


def test_local_streaming(agent: Agent, tmp_path: Path) -> None:
    """``--local`` puts the pieces of a stream together."""
    told = local(agent, tmp_path, json.dumps({"prompt": "one two", "stream": True}), {})

    assert told.startswith('one two {"done": true}')
