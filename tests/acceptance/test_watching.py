"""Whoever watches or waits, in a shell or over HTTP, while the task manager restarts; and what a shell can do."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .agent_process import PATIENCE, Agent, OutlastProcess, until
from .conftest import Launcher

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Return the file that lets tasks go on, once it is there."""
    return tmp_path / "open"


@pytest.fixture
def address() -> str:
    """Return an address where nobody listens yet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def apart(launch: Launcher, address: str, gate: Path) -> tuple[OutlastProcess, Agent]:
    """Start a task manager, and an agent that uses it."""
    manager = launch.task_manager(address)
    return manager, launch.ready("stages.py", OUTLAST_TASK_MANAGER=address, GATE_FILE=str(gate))


@pytest.fixture
def agent(launch: Launcher, gate: Path) -> Agent:
    """Start an agent with a task manager of its own."""
    return launch.ready("stages.py", GATE_FILE=str(gate))


def tasks(launch: Launcher, manager: str, *arguments: str) -> OutlastProcess:
    """Start ``outlast tasks ARGUMENTS``."""
    return launch.process(["-m", "outlast.cli", "tasks", *arguments, "--task-manager", manager])


def done(command: OutlastProcess) -> tuple[int, str, list[str]]:
    """Wait for the end of a command; return its exit code, its output, and its lines on standard error."""
    code = command.wait()
    return code, "\n".join(command.output), command.errors


class EventSource:
    """Reads server-sent events on a thread of its own."""

    def __init__(self, agent: Agent, path: str, session: str = "") -> None:
        self.ids: list[str] = []
        self.events: list[Any] = []
        self._connection = HTTPConnection(urlsplit(agent.address).netloc, timeout=PATIENCE)
        self._connection.request("GET", path, headers={SESSION: session} if session else {})
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def join(self) -> None:
        """Wait for the end of the stream."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive()

    def _read(self) -> None:
        with contextlib.closing(self._connection):
            for line in self._response:
                if line.startswith(b"id: "):
                    self.ids.append(line[4:].decode().strip())
                elif line.startswith(b"data: "):
                    self.events.append(json.loads(line[6:]))


def test_watches_live_through_a_restart_of_the_task_manager(
    launch: Launcher, apart: tuple[OutlastProcess, Agent], address: str, gate: Path
) -> None:
    """In a shell and over HTTP each event comes once, though the task manager is killed in the middle."""
    manager, agent = apart
    [task_id] = agent.invoke({"start": "stages"}).task_ids
    shell = tasks(launch, address, "watch", task_id, "--json")
    browser = EventSource(agent, f"/tasks/{task_id}/events")
    until(lambda: any('"OUTPUT"' in line for line in shell.output), "the output in the shell")
    until(lambda: any(event["kind"] == "OUTPUT" for event in browser.events), "the output over HTTP")

    manager.kill()
    until(lambda: any("does not answer" in line for line in shell.errors), "word of the outage")
    gate.touch()
    launch.task_manager(address)
    code, _, errors = done(shell)
    browser.join()

    events = [json.loads(line) for line in shell.output]
    assert [int(event["generation"]) for event in events] == list(range(1, len(events) + 1))
    assert events == browser.events
    assert browser.ids == [event["generation"] for event in events]
    assert [chunk for event in events for chunk in event.get("output", ())] == ["before", "behind"]
    assert (code, events[-1]["state"], events[-1]["result"]) == (0, "COMPLETED", {"through": True})
    assert len(errors) == 1
    assert errors[0].startswith(f"outlast: the task manager at {address} does not answer: going on behind generation")


def test_a_session_is_watched_as_a_whole(
    launch: Launcher, apart: tuple[OutlastProcess, Agent], address: str, gate: Path
) -> None:
    """All tasks of a session, also those to come, over a restart: each event once, in the same order for everybody."""
    manager, agent = apart
    mine = {SESSION: "s-1"}
    [first] = agent.invoke({"start": "stages"}, mine).task_ids
    agent.invoke({"start": "stages"}, {SESSION: "another"})
    shell = tasks(launch, address, "watch", "--session", "s-1", "--json")
    browser = EventSource(agent, "/tasks/events", session="s-1")
    until(lambda: any('"OUTPUT"' in line for line in shell.output), "the output in the shell")

    manager.kill()
    until(lambda: any("does not answer" in line for line in shell.errors), "word of the outage")
    launch.task_manager(address)
    until(lambda: agent.request("POST", "/invocations", {"start": "stages"}, mine).status == 200, "a second task")
    gate.touch()
    until(lambda: sum(event["state"] == "COMPLETED" for event in browser.events) == 2, "two ends over HTTP")
    until(lambda: sum('"COMPLETED"' in line for line in shell.output) == 2, "two ends in the shell")
    shell.signal(signal.SIGINT)
    code, _, errors = done(shell)

    events = [json.loads(line) for line in shell.output]
    cursors = [event.pop("cursor") for event in events]
    assert (events, cursors) == (browser.events, browser.ids)
    names = {event["task"] for event in events}
    assert len(names) == 2
    assert f"tasks/{first}" in names
    for name in names:
        generations = [int(event["generation"]) for event in events if event["task"] == name]
        assert generations == list(range(1, len(generations) + 1))
    assert (code, errors[-1]) == (130, "outlast: stopped; its tasks go on")
    rest = EventSource(agent, f"/tasks/events?session=s-1&after={cursors[-2]}")
    until(lambda: rest.ids == cursors[-1:], "the last event again")


def test_wait_tells_by_its_exit_code(launch: Launcher, agent: Agent, gate: Path) -> None:
    """It gives up when its time is over; it is 0 for a task that completes, and 1 for one that does not."""
    manager = agent.ready()["taskManager"]
    [good] = agent.invoke({"start": "stages"}).task_ids
    [bad] = agent.invoke({"start": "unlucky"}).task_ids

    assert done(tasks(launch, manager, "wait", good, "--timeout", "0.2"))[0] == 124
    code, shown, _ = done(tasks(launch, manager, "wait", bad, "--json"))
    assert (code, json.loads(shown)["state"], json.loads(shown)["attempt"]) == (1, "FAILED", 2)
    gate.touch()
    assert done(tasks(launch, manager, "wait", good))[0] == 0
    assert done(tasks(launch, manager, "wait", "1"))[0] == 3


def test_a_task_is_tried_once_more(launch: Launcher, agent: Agent, gate: Path) -> None:
    """Retry makes a new task with the same arguments, in a shell and over HTTP; a key makes two requests one task."""
    manager = agent.ready()["taskManager"]
    [old] = agent.invoke({"start": "unlucky"}).task_ids
    assert agent.finished(old)["state"] == "FAILED"
    gate.touch()

    code, printed, _ = done(tasks(launch, manager, "retry", old))
    assert code == 0
    new = agent.finished(printed.strip())
    assert (new["state"], new["result"], new["labels"]) == ("COMPLETED", 7, {"outlast.retry_of": old})
    watched = done(tasks(launch, manager, "retry", old, "--watch"))
    assert watched[0] == 0
    assert "result 7" in watched[1]
    over_http = [
        agent.request("POST", f"/tasks/{old}/retry", headers={"Idempotency-Key": "once"}).json["taskId"]
        for _ in range(2)
    ]
    assert over_http[0] == over_http[1] not in (old, printed.strip())
    assert agent.task(old)["state"] == "FAILED"


@pytest.mark.parametrize("over_http", [False, True], ids=["shell", "http"])
def test_a_task_that_does_not_follow_is_ended_by_force(
    launch: Launcher, agent: Agent, gate: Path, over_http: bool
) -> None:
    """Code that asks nobody goes on, but its task is CANCELED after the grace, and what it says then is not heard."""
    manager = agent.ready()["taskManager"]
    [task_id] = agent.invoke({"start": "stubborn"}).task_ids
    if over_http:
        assert agent.request("POST", f"/tasks/{task_id}/cancel").json["state"] == "WORKING"
        assert agent.request("POST", f"/tasks/{task_id}/cancel?force=true&grace=0.2").json["state"] == "WORKING"
    else:
        code, said, _ = done(tasks(launch, manager, "cancel", task_id))
        assert (code, said) == (0, f"tasks/{task_id} was asked to stop; it is WORKING")
        assert done(tasks(launch, manager, "cancel", task_id, "--force", "--grace", "0.2s"))[0] == 0

    ended = agent.finished(task_id)
    assert (ended["state"], ended["stateReason"]) == ("CANCELED", "CANCEL_FORCED")
    gate.touch()
    until(lambda: agent.ping() == "Healthy", "the end of the code")
    assert agent.task(task_id) == ended


def test_what_is_deleted_is_gone(launch: Launcher, agent: Agent, gate: Path) -> None:
    """A task that has ended is deleted with its events; one that has not is refused."""
    manager = agent.ready()["taskManager"]
    [task_id] = agent.invoke({"start": "stages"}).task_ids
    assert agent.request("DELETE", f"/tasks/{task_id}").status == 409
    code, _, errors = done(tasks(launch, manager, "delete", task_id))
    assert (code, len(errors)) == (1, 1)

    gate.touch()
    agent.finished(task_id)
    assert done(tasks(launch, manager, "delete", task_id))[::2] == (0, [])

    assert agent.request("GET", f"/tasks/{task_id}").status == 404
    assert agent.request("GET", f"/tasks/{task_id}/events").status == 404
    assert agent.request("DELETE", f"/tasks/{task_id}").status == 404
