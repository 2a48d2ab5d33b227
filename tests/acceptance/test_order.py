"""The order of a task's lines, where nothing but the runtime keeps it: tasks that take no time."""

from __future__ import annotations

import re

import pytest

from .conftest import Launcher
from .log_lines import contract_lines


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("how", ["awaited", "created", "started", "called", "on a thread", "raises"])
def test_a_task_that_takes_no_time_has_its_lines_in_order(launch: Launcher, how: str, apart: bool) -> None:
    """Started, ended (s), ended (ID); and the invocation's own line after the started one."""
    manager = launch.task_manager() if apart else None
    environment = {"OUTLAST_TASK_MANAGER": manager.ready()["address"]} if manager else {}
    agent = launch.ready("instant.py", **environment)

    for _ in range(5):
        [task_id] = agent.invoke({"how": how}).task_ids
        agent.finished(task_id)
    agent.stop()

    lines = contract_lines(agent) + (contract_lines(manager) if manager else [])
    if manager:  # two processes write, and only the times tell; within one millisecond either may have been first
        lines.sort(key=lambda line: (line["timestamp"], "started" not in line["message"], "ID:" in line["message"]))
    for task_id in {line["taskId"] for line in lines if "taskId" in line}:
        mine = [line["message"] for line in lines if line.get("taskId") == task_id]
        assert [re.sub(r"\d+\.\d+s|\d{10,}", "#", message) for message in mine] == story(how)
    if not apart:
        kinds = [line["message"].split(" ")[:3] for line in lines]
        assert kinds.index(["Async", "task", "started:"]) < kinds.index(["Invocation", "completed", "successfully"])


def story(how: str) -> list[str]:
    """Return the messages of one task, its numbers hidden."""
    name = {"called": "function", "on a thread": "function", "raises": "broken"}.get(how, "coroutine")
    ended = "failed" if how == "raises" else "completed"
    return [
        f"Async task started: {name} (ID: #)",
        f"Async task {ended}: {name} (#)",
        f"Async task {ended}: {name} (ID: #, Duration: #)",
    ]
