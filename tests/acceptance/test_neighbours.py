"""Two agents beside each other, with nothing configured."""

from __future__ import annotations

import shutil

from .agent_process import EXAMPLES, PROGRAMS
from .conftest import Launcher
from .log_lines import ended, wait_for


def test_two_programs_in_one_folder(launch: Launcher) -> None:
    """Both work with defaults, at addresses of their own, each with its own tasks."""
    paths = []
    for name in ("gate.py", "counter.py"):
        paths.append(str(shutil.copy(PROGRAMS / name, launch.folder)))
    gate, counter = (launch.bare("run", path) for path in paths)
    assert gate.address != counter.address
    assert gate.ready()["taskManager"] != counter.ready()["taskManager"]

    [gates] = gate.invoke({"start": "coroutine"}).task_ids
    [counters] = counter.invoke({"number": 7}).task_ids
    gate.invoke({"open": True})

    assert gate.finished(gates)["state"] == "COMPLETED"
    assert counter.finished(counters)["result"] == 7
    assert [task["taskId"] for task in gate.request("GET", "/tasks").json["tasks"]] == [gates]
    assert [task["taskId"] for task in counter.request("GET", "/tasks").json["tasks"]] == [counters]
    assert gate.request("GET", f"/tasks/{counters}").status == 404


def test_one_program_twice(launch: Launcher) -> None:
    """The same file beside itself: both processes work and neither ends the other's tasks."""
    path = str(shutil.copy(PROGRAMS / "gate.py", launch.folder))
    one = launch.bare("run", path)
    one.ready()
    [ones] = one.invoke({"start": "function"}).task_ids
    other = launch.bare("run", path)
    assert one.address != other.address

    [others] = other.invoke({"start": "function"}).task_ids
    other.invoke({"open": True})

    assert other.finished(others)["state"] == "COMPLETED"
    assert one.task(ones)["state"] == "WORKING"
    assert one.ping() == "HealthyBusy"
    one.invoke({"open": True})
    assert one.finished(ones)["state"] == "COMPLETED"


def test_a_neighbour_notices_a_death(launch: Launcher) -> None:
    """Of two processes on one store, the one that lives ends the tasks of the one that was killed."""
    path = str(shutil.copy(PROGRAMS / "gate.py", launch.folder))
    one, other = launch.bare("run", path), launch.bare("run", path)
    [task_id] = one.invoke({"start": "function"}).task_ids
    other.ready()

    one.kill()

    lost = other.finished(task_id)
    assert (lost["state"], lost["stateReason"]) == ("FAILED", "WORKER_LOST")
    wait_for(other, ended("function", task_id, "lost"))


def test_the_first_example_needs_no_settings(launch: Launcher) -> None:
    """`outlast run` of the documents' program, in a fresh folder and with an empty environment, works."""
    for name in ("manual_thread.py", "scripted_model.py"):
        shutil.copy(EXAMPLES / name, launch.folder)
    agent = launch.bare("run", "manual_thread.py", EXAMPLE_SECONDS="1")
    [task_id] = agent.invoke({"prompt": "start a 1 second task"}).task_ids
    assert agent.finished(task_id)["state"] == "COMPLETED"
    assert (launch.folder / ".outlast" / "manual_thread.db").exists()
