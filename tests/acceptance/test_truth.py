"""What the original gets wrong: failures told as completions, results thrown away."""

from __future__ import annotations

import pytest

from .conftest import Launcher
from .log_lines import contract_lines, ended, wait_for

NO_PAPER = "the printer has no paper: 紙切れ"


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("started", "prints"),
        ("created", "prints"),
        ("awaited", "prints"),
        ("called", "prints_in_place"),
        ("thread", "prints_in_place"),
        ("by_hand", "by_hand"),
    ],
)
def test_a_task_that_raises_has_failed(launch: Launcher, how: str, name: str) -> None:
    """It is FAILED with its error kept, told as failed with its id, and never as completed."""
    agent = launch.ready("failures.py")
    [task_id] = agent.invoke({"how": how}).task_ids
    task = agent.finished(task_id)
    assert task["state"] == "FAILED"
    assert task["error"]["message"] == NO_PAPER
    wait_for(agent, ended(name, task_id, "failed"))
    agent.stop()
    assert not [line for line in contract_lines(agent) if "Async task completed" in line["message"]]


def test_a_result_over_the_limit_fails_the_task(launch: Launcher) -> None:
    """The error names the size and the limit."""
    agent = launch.ready("failures.py")
    [task_id] = agent.invoke({"how": "too_much"}).task_ids
    task = agent.finished(task_id)
    assert task["state"] == "FAILED"
    assert "2,097,154" in task["error"]["message"]
    assert "1,048,576" in task["error"]["message"]


@pytest.mark.parametrize("kind", ["coroutine", "function", "by_hand"])
def test_a_result_is_there_after_a_restart(launch: Launcher, kind: str) -> None:
    """The result of a finished task is fetched from the next process on the same store."""
    agent = launch.ready("gate.py")
    [task_id] = agent.invoke({"start": kind}).task_ids
    agent.invoke({"open": True})
    before = agent.finished(task_id)
    assert agent.stop() == 0

    again = launch.ready("gate.py")
    assert again.task(task_id) == before
    assert before["result"] == {"number": 0, "text": "終わり"}


@pytest.mark.parametrize("kind", ["obedient", "endless"])
def test_a_cancel_over_http(launch: Launcher, kind: str) -> None:
    """A canceled task is CANCELED and told so; /ping is Healthy again."""
    agent = launch.ready("gate.py")
    [task_id] = agent.invoke({"start": kind}).task_ids
    assert agent.request("POST", f"/tasks/{task_id}/cancel").status == 200
    assert agent.finished(task_id)["state"] == "CANCELED"
    assert agent.ping() == "Healthy"
    wait_for(agent, ended(kind, task_id, "canceled"))
    assert not [line for line in contract_lines(agent) if "Async task completed" in line["message"]]


def test_a_running_task_is_told_of_at_shutdown(launch: Launcher) -> None:
    """SIGTERM with a task that does not end: it is FAILED with the reason, and the record is there afterwards."""
    agent = launch.ready("gate.py", OUTLAST_SHUTDOWN_GRACE="0.2")
    [task_id] = agent.invoke({"start": "function"}).task_ids
    assert agent.stop() == 0
    task = launch.ready("gate.py").task(task_id)
    assert (task["state"], task["stateReason"]) == ("FAILED", "WORKER_SHUTDOWN")
