"""Programs that were written for the original, beyond those of the documents; and programs under plain python."""

from __future__ import annotations

import os
import subprocess
import sys

from .agent_process import PROGRAMS
from .conftest import Launcher

SESSION = "a-session-of-at-least-thirty-three-characters"
REQUEST = "6d895246-3411-4a07-a50c-70733bee61fa"
KNOWN = {"session": SESSION, "request": REQUEST, "token": "wat", "callback": "http://127.0.0.1/back", "own": "mine"}
HEADERS = {
    "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION,
    "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id": REQUEST,
    "WorkloadAccessToken": "wat",
    "OAuth2CallbackUrl": "http://127.0.0.1/back",
    "X-Own": "mine",
}


def test_what_is_known_of_a_request(launch: Launcher) -> None:
    """The handler's context and BedrockAgentCoreContext tell it, in the handler and in a task on another thread."""
    agent = launch.ready("original_context.py")

    answer = agent.invoke({}, HEADERS)

    assert answer.json == {"seen": KNOWN, "context": [SESSION, "mine"]}
    [task_id] = answer.task_ids
    task = agent.request("GET", f"/tasks/{task_id}/wait", headers=HEADERS).json
    assert (task["result"], task["sessionId"], task["requestId"]) == (KNOWN, SESSION, REQUEST)


def test_another_session_sees_nothing_of_it(launch: Launcher) -> None:
    """A task answers to its own session only, and to this machine without a session."""
    agent = launch.ready("original_context.py")
    [task_id] = agent.invoke({}, HEADERS).task_ids
    other = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "another-session-of-thirty-three-characters"}
    assert agent.request("GET", f"/tasks/{task_id}", headers=other).status == 404
    assert agent.request("GET", "/tasks", headers=other).json == {"tasks": []}
    assert agent.finished(task_id)["state"] == "COMPLETED"


def test_python_runs_a_program_that_imports_outlast(launch: Launcher) -> None:
    """`python FILE` is complete on its own."""
    agent = launch.python("gate.py")
    agent.ready()
    [task_id] = agent.invoke({"start": "function"}).task_ids
    agent.invoke({"open": True})
    assert agent.finished(task_id)["state"] == "COMPLETED"
    assert agent.stop() == 0


def test_python_runs_a_program_of_the_original_with_the_path_that_is_told(launch: Launcher) -> None:
    """`outlast compat-path` names the folder that PYTHONPATH needs."""
    command = [sys.executable, "-m", "outlast.cli", "compat-path"]
    folder = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    agent = launch.python(PROGRAMS / "original_context.py", PYTHONPATH=path)
    assert agent.invoke({}, HEADERS).json["context"] == [SESSION, "mine"]
