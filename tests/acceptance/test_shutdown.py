"""SIGTERM with work under way: another process has it at once, and nothing of it is lost (promise 6)."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from .agent_process import until
from .conftest import Launcher


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Where attempts are noted, and what lets them end."""
    return {"NOTES_FILE": str(tmp_path / "notes"), "GATE_FILE": str(tmp_path / "gate")}


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that several agents with embedded task managers share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/shared.db"
    return str(request.getfixturevalue("postgres_url"))


def test_another_agent_takes_over_what_is_left(launch: Launcher, files: dict[str, str], store: str) -> None:
    """The attempt that was cut short and the task that waited for a thread are done by the other process."""
    settings = {**files, "OUTLAST_STORE": store, "OUTLAST_SHUTDOWN_GRACE": "0.5", "OUTLAST_MAX_TASK_THREADS": "1"}
    notes = Path(files["NOTES_FILE"])
    first = launch.ready("retries.py", **settings)
    [patient] = first.invoke({"start": "patient", "args": ["whales"]}).task_ids
    [blocking] = first.invoke({"start": "blocking", "args": [1]}).task_ids
    until(lambda: notes.exists() and "patient 1" in notes.read_text(), "the first attempt")
    [flaky] = first.invoke({"start": "flaky_on_a_thread", "args": [0]}).task_ids
    assert first.task(flaky)["stateReason"] == "WORKER_BUSY"
    second = launch.ready("retries.py", **settings)

    assert first.stop() == 0

    until(lambda: f"patient 2 {second.pid}" in notes.read_text(), "the second attempt")
    Path(files["GATE_FILE"]).touch()
    again, once, lost = (second.finished(task_id) for task_id in (patient, flaky, blocking))
    assert (again["state"], again["attempt"], again["result"]["topic"]) == ("COMPLETED", 2, "whales")
    assert (once["state"], once["attempt"], once["result"]["pid"]) == ("COMPLETED", 1, second.pid)
    assert (lost["state"], lost["stateReason"]) == ("FAILED", "WORKER_SHUTDOWN")


def test_an_agent_on_postgresql_leaves_nothing_on_the_disk(launch: Launcher, postgres_url: str) -> None:
    """Its store is elsewhere: no folder, no lock, and no password in its log."""
    agent = launch.ready("gate.py", OUTLAST_STORE=postgres_url, OUTLAST_SHUTDOWN_GRACE="0.2")
    [task_id] = agent.invoke({"start": "function"}).task_ids
    assert agent.task(task_id)["state"] == "WORKING"

    assert agent.stop() == 0

    assert list(launch.folder.iterdir()) == []
    other = launch.ready("gate.py", OUTLAST_STORE=postgres_url)
    assert other.task(task_id)["stateReason"] == "WORKER_SHUTDOWN"


def test_a_result_waits_for_a_manager_that_restarts_meanwhile(launch: Launcher, files: dict[str, str]) -> None:
    """Agent and manager are told to stop together, as by a deployment: what has ended is recorded within the grace."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    manager = launch.task_manager(address)
    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=address, OUTLAST_SHUTDOWN_GRACE="30", **files)
    [task_id] = agent.invoke({"start": "coroutine"}).task_ids
    manager.stop()
    until(lambda: agent.request("POST", "/invocations", {}).status == 503, "a refused invocation")
    Path(files["GATE_FILE"]).touch()
    until(lambda: agent.ping() == "Healthy", "the end of the task")

    agent.signal(signal.SIGTERM)
    agent.wait_message("agent is stopping")
    time.sleep(3.0)  # longer than an agent takes that has nothing more to say
    launch.task_manager(address)

    assert agent.wait() == 0
    other = launch.ready("gate.py", OUTLAST_TASK_MANAGER=address)
    assert other.task(task_id)["state"] == "COMPLETED"
    assert not [line for line in agent.lines if line["level"] == "ERROR"]


def test_what_could_not_be_recorded_is_said(launch: Launcher) -> None:
    """With the task manager away for longer than the grace an agent ends all the same, and says what is lost."""
    manager = launch.task_manager()
    agent = launch.ready("gate.py", OUTLAST_TASK_MANAGER=manager.ready()["address"], OUTLAST_SHUTDOWN_GRACE="0.5")
    agent.invoke({"start": "endless"})
    manager.kill()

    assert agent.stop() == 0

    assert agent.wait_message("what the task manager has not confirmed is lost")["operations"] == 1


def test_a_call_that_hangs_does_not_hold_the_process(launch: Launcher) -> None:
    """A task that is cut off inside of ``asyncio.to_thread`` leaves its thread behind, and the process ends."""
    agent = launch.ready("gate.py", OUTLAST_SHUTDOWN_GRACE="0.2")
    [task_id] = agent.invoke({"start": "coroutine"}).task_ids

    assert agent.stop() == 0

    assert launch.ready("gate.py").task(task_id)["stateReason"] == "WORKER_SHUTDOWN"
