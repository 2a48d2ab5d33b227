"""Many invocations at once, each starting a task."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .agent_process import Agent
from .conftest import Launcher

MEBIBYTE = 1 << 20


def invoke_many(agent: Agent, count: int, at_once: int) -> list[str]:
    """Post ``count`` invocations, ``at_once`` at a time; return the ids of the tasks that they started."""

    def one(number: int) -> str:
        answer = agent.invoke({"number": number})
        assert answer.task_ids == [answer.json["taskId"]]
        return answer.task_ids[0]

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, range(count)))


def listed(agent: Agent, state: str) -> set[str]:
    """Return the ids of all tasks in a state, page by page."""
    ids: set[str] = set()
    token = ""
    while True:
        page = agent.request("GET", f"/tasks?pageSize=1000&state={state}&pageToken={token}").json
        ids |= {task["taskId"] for task in page.get("tasks", [])}
        token = page.get("nextPageToken", "")
        if not token:
            return ids


@pytest.mark.timeout(300)
def test_a_thousand_invocations_at_32_at_once(launch: Launcher) -> None:
    """None is lost, ids are unique, every task ends COMPLETED with its own result, and memory settles."""
    agent = launch.ready("counter.py")

    first = invoke_many(agent, 1000, 32)

    assert len(set(first)) == 1000
    for number in (0, 499, 999):
        assert agent.finished(first[number])["result"] == number
    for task_id in first:
        assert agent.finished(task_id)["state"] == "COMPLETED"
    assert listed(agent, "COMPLETED") == set(first)
    assert agent.ping() == "Healthy"

    invoke_many(agent, 1000, 32)
    settled = agent.memory()
    for task_id in invoke_many(agent, 1000, 32):
        assert agent.finished(task_id)["state"] == "COMPLETED"
    assert agent.memory() < settled + 16 * MEBIBYTE
