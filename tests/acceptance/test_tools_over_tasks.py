"""`@tool` over `@app.async_task` on one function."""

from __future__ import annotations

from .conftest import Launcher
from .log_lines import INVOCATION, check, ended, returned, started


def test_a_tool_that_is_a_task_is_waited_for(launch: Launcher) -> None:
    """As Python says: the invocation ends after the task, and the tool's result is the task's."""
    agent = launch.ready("tool_over_task.py", EXAMPLE_SECONDS="1")

    answer = agent.invoke({"prompt": "非同期タスクを実行して"})

    assert "バックグラウンドタスクが完了しました" in answer.body.decode()
    [task_id] = answer.task_ids
    assert agent.ping() == "Healthy"
    assert agent.task(task_id)["state"] == "COMPLETED"
    check(
        agent,
        [started("start_async", task_id), returned("start_async"), ended("start_async", task_id), INVOCATION],
    )
