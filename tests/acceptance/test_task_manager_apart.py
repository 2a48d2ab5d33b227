"""A task manager in a process of its own: out of reach, killed, restarted."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from .agent_process import until
from .conftest import Launcher


@pytest.fixture
def address() -> str:
    """Return an address where nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_an_agent_works_with_a_manager_apart(launch: Launcher) -> None:
    """It embeds none, its tasks are the manager's, and the manager tells their lines."""
    manager = launch.task_manager()
    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=manager.ready()["address"])
    answer = agent.invoke({"start": "three"})
    agent.invoke({"open": True})
    for task_id in answer.task_ids:
        assert agent.finished(task_id)["state"] == "COMPLETED"
        told = rf"Async task completed: \w+ \(ID: {task_id}, Duration: \d+\.\d\ds\)"
        manager.wait_line(lambda line, told=told: re.fullmatch(told, line["message"]) is not None, told)  # type: ignore[misc]
    assert not list(launch.folder.glob(".outlast/*"))


def test_a_manager_out_of_reach_at_the_start(launch: Launcher, address: str) -> None:
    """The agent lives: one warning, invocations are 503 with Retry-After, and it works once the manager is there."""
    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=address)
    agent.wait_line(lambda line: line["level"] == "WARNING" and address in json.dumps(line), "the warning")
    refused = agent.request("POST", "/invocations", {"start": "function"})
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "task manager" in refused.json["error"]
    assert agent.ping() == "Healthy"
    assert len([line for line in agent.lines if line["level"] == "WARNING"]) == 1

    launch.task_manager(address)

    until(lambda: agent.request("POST", "/invocations", {"start": "function"}).status == 200, "an accepted start")
    agent.invoke({"open": True})


def test_a_manager_killed_in_the_middle_loses_nothing(launch: Launcher, address: str, tmp_path: Path) -> None:
    """Tasks that ended while it was away are recorded when it is back; each start and end is told once."""
    manager = launch.task_manager(address)
    open_gate = tmp_path / "open"
    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=address, GATE_FILE=str(open_gate))
    before = agent.invoke({"start": "three"}).task_ids
    manager.kill()
    until(lambda: agent.request("POST", "/invocations", {}).status == 503, "a refused invocation")
    assert agent.ping() == "HealthyBusy"
    open_gate.touch()
    until(lambda: agent.ping() == "Healthy", "the end of the tasks")

    again = launch.task_manager(address)
    until(lambda: agent.request("POST", "/invocations", {}).status == 200, "an accepted invocation")

    for task_id in before:
        task = agent.finished(task_id)
        assert (task["state"], task["attempt"]) == ("COMPLETED", 1)
        again.wait_line(lambda line, ends=f"(ID: {task_id}, ": ends in line["message"])  # type: ignore[misc]
    assert sum("Async task completed" in line["message"] for line in again.lines) == 3
    assert not [line for line in again.lines if "Async task started" in line["message"]]


def test_tokens_and_tls_all_the_way(launch: Launcher, tmp_path: Path) -> None:
    """With a certificate and tokens agents and the command line still find their manager; without them nobody does."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key, root = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    tokens = {"OUTLAST_TOKEN": "people", "OUTLAST_WORKER_TOKEN": "workers"}
    served = launch.task_manager(OUTLAST_TLS_CERT=str(cert), OUTLAST_TLS_KEY=str(key), **tokens).ready()["address"]

    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=served, OUTLAST_TLS_CA=str(root), **tokens)
    [task_id] = agent.invoke({"start": "function"}).task_ids
    assert task_id in outlast("tasks", "list", "--task-manager", served, OUTLAST_TLS_CA=str(root), **tokens)

    agent.invoke({"open": True})
    assert agent.finished(task_id)["state"] == "COMPLETED"
    for environment in ({"OUTLAST_TLS_CA": str(root)}, tokens):
        with pytest.raises(subprocess.CalledProcessError):
            outlast("tasks", "list", "--task-manager", served, **environment)


def outlast(*arguments: str, **environment: str) -> str:
    """Run ``outlast ARGUMENTS`` and return what it prints."""
    command = [sys.executable, "-m", "outlast.cli", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment)
    return done.stdout


def test_the_command_line_asks_a_task_manager(launch: Launcher) -> None:
    """`outlast tasks list` and `get` print tables for people, and with --json what programs read."""
    agent = launch.ready("gate.py")
    manager = agent.ready()["taskManager"]
    [task_id] = agent.invoke({"start": "coroutine"}).task_ids
    agent.invoke({"open": True})
    agent.finished(task_id)

    assert task_id in outlast("tasks", "list", "--task-manager", manager)
    assert task_id in outlast("tasks", "get", task_id, "--task-manager", manager)
    listed = json.loads(outlast("tasks", "list", "--json", "--task-manager", manager))
    assert [task["taskId"] for task in listed["tasks"]] == [task_id]
    got = json.loads(outlast("tasks", "get", f"tasks/{task_id}", "--json", "--task-manager", manager))
    assert (got["name"], got["state"]) == (f"tasks/{task_id}", "COMPLETED")


def buf_curl(task_manager: str, method: str, request: object) -> Any:
    """Call a method of TaskService with `buf curl`, which learns what there is by reflection."""
    buf = str(Path(sys.executable).with_name("buf"))
    url = f"http://{task_manager}/outlast.v1.TaskService/{method}"
    command = [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", json.dumps(request), url]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_grpc_client_without_proto_files(launch: Launcher) -> None:
    """`buf curl` lists the tasks by reflection, as any client that speaks it can."""
    agent = launch.ready("gate.py")
    [task_id] = agent.invoke({"start": "coroutine"}).task_ids
    [task] = buf_curl(agent.ready()["taskManager"], "ListTasks", {})["tasks"]
    assert (task["taskId"], task["taskType"], task["state"]) == (task_id, "coroutine", "WORKING")
    agent.invoke({"open": True})


@pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])
def test_a_task_submitted_over_grpc(launch: Launcher, apart: bool) -> None:
    """An agent that knows the task type runs it, and its result is there to be fetched."""
    manager = launch.task_manager().ready()["address"] if apart else ""
    agent = launch.ready("counter.py", **({"OUTLAST_TASK_MANAGER": manager} if apart else {}))
    manager = agent.ready()["taskManager"]
    submitted = {"agent": "counter", "taskType": "count", "input": json.dumps({"args": [7], "kwargs": {}})}
    created = buf_curl(manager, "CreateTask", submitted)
    assert created["state"] == "SUBMITTED"
    ended = buf_curl(manager, "WaitTask", {"name": created["name"], "timeout": "30s"})
    assert (ended["state"], ended["result"]) == ("COMPLETED", "7")
    assert agent.task(created["taskId"])["result"] == 7
