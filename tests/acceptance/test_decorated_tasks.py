"""The decorator on async functions: created from the entrypoint, from tools, from threads, on loops that end."""

from __future__ import annotations

import pytest

from .conftest import Launcher
from .log_lines import INVOCATION, check, contract_lines, ended, returned, started, wait_for


def test_a_task_created_by_the_entrypoint(launch: Launcher) -> None:
    """`asyncio.create_task` of a decorated function: four lines, and the result is kept."""
    agent = launch.ready("decorator_create_task.py", EXAMPLE_SECONDS="2")
    request = {"X-Amzn-Bedrock-AgentCore-Runtime-Request-Id": "f6ad3876-500e-48ff-b800-f9ac26e5e628"}

    answer = agent.invoke({"prompt": "非同期タスクを実行して"}, request)

    assert agent.ping() == "HealthyBusy"
    assert answer.json == "バックグラウンドタスクを開始しました"
    [task_id] = answer.task_ids
    task = agent.finished(task_id)
    assert agent.ping() == "Healthy"
    assert (task["state"], task["result"]) == ("COMPLETED", "バックグラウンドタスクを完了しました")
    lines = check(
        agent,
        [started("async_task", task_id), INVOCATION, returned("async_task"), ended("async_task", task_id)],
    )
    assert {line["requestId"] for line in lines} == {"f6ad3876-500e-48ff-b800-f9ac26e5e628"}


@pytest.mark.parametrize("program", ["create_task_in_tool.py", "thread_with_loop.py", "tool_start.py"])
def test_a_task_from_a_tool_runs_to_its_end(launch: Launcher, program: str) -> None:
    """A task that a tool leaves behind runs its whole time, after the answer, and says so."""
    agent = launch.ready(program, EXAMPLE_SECONDS="2")

    answer = agent.invoke({"prompt": "非同期タスクを実行して"})

    assert agent.ping() == "HealthyBusy"
    assert "バックグラウンドタスクを開始しました" in answer.body.decode()
    [task_id] = answer.task_ids
    task = agent.finished(task_id)
    assert agent.ping() == "Healthy"
    assert task["state"] == "COMPLETED"
    lines = check(
        agent,
        [
            started("background_task", task_id),
            INVOCATION,
            returned("background_task"),
            ended("background_task", task_id),
        ],
    )
    assert 1.95 <= float(lines[3]["message"].rsplit(" ", 1)[1].rstrip("s)")) < 10


@pytest.mark.parametrize(("how", "result"), [("return", "first step"), ("last_turn", "no step")])
def test_a_task_outlives_the_loop_it_was_created_on(launch: Launcher, how: str, result: str) -> None:
    """A loop that ends after the task's first step, or before it, takes nothing away from the task."""
    agent = launch.ready("short_loops.py")
    [task_id] = agent.invoke({"how": how}).task_ids
    task = agent.finished(task_id)
    assert (task["state"], task["result"]) == ("COMPLETED", result)


def test_an_explicit_cancel_cancels(launch: Launcher) -> None:
    """`task.cancel()` in user code ends the task as CANCELED, told as canceled and never as completed."""
    agent = launch.ready("short_loops.py")
    [task_id] = agent.invoke({"how": "cancel"}).task_ids
    assert agent.finished(task_id)["state"] == "CANCELED"
    wait_for(agent, ended("endless", task_id, "canceled"))
    wait_for(agent, INVOCATION)
    assert not [line for line in contract_lines(agent) if "Async task completed" in line["message"]]
