"""An async entrypoint that blocks its loop with `agent(prompt)` while the tools wait for async tasks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import Launcher


@pytest.mark.parametrize(
    ("tool", "words", "tasks"),
    [("await_one", "result 1", 1), ("create_two", "started two", 2), ("gather_two", "result 1, result 2", 2)],
)
def test_tools_of_a_blocking_async_entrypoint(launch: Launcher, tool: str, words: str, tasks: int) -> None:
    """No deadlock: tasks awaited, created and gathered by a tool run, and are recorded as completed."""
    agent = launch.ready("async_entrypoint_blocking.py", EXAMPLE_SECONDS="0.5")

    answer = agent.invoke({"prompt": f"please {tool}"})

    assert words in answer.body.decode()
    assert len(set(answer.task_ids)) == tasks
    for task_id in answer.task_ids:
        assert agent.finished(task_id)["state"] == "COMPLETED"
    assert agent.ping() == "Healthy"


def test_ping_answers_while_an_entrypoint_blocks(launch: Launcher) -> None:
    """A blocking async entrypoint keeps nobody from /ping, which is HealthyBusy for the task it waits for."""
    agent = launch.ready("async_entrypoint_blocking.py", EXAMPLE_SECONDS="2")
    with ThreadPoolExecutor(1) as pool:
        invocation = pool.submit(agent.invoke, {"prompt": "await_one"})
        agent.wait_line(lambda line: str(line.get("message")).startswith("Async task started"))
        assert agent.ping() == "HealthyBusy"
        assert not invocation.done()
        assert "result 1" in invocation.result().body.decode()
