"""`@app.async_task` on a plain def: what the second document ends by wishing for."""

from __future__ import annotations

import re

from .conftest import Launcher
from .log_lines import INVOCATION, check, contract_lines, ended, returned, started, wait_for


def test_a_called_def_runs_in_place(launch: Launcher) -> None:
    """A call is a call: the tool waits, and the task is tracked and told."""
    agent = launch.ready("sync_task.py", EXAMPLE_SECONDS="1")

    answer = agent.invoke({"prompt": "call_it"})

    assert "バックグラウンドタスクが完了しました" in answer.body.decode()
    [task_id] = answer.task_ids
    name = "background_task"
    check(agent, [started(name, task_id), returned(name), ended(name, task_id), INVOCATION])
    assert agent.task(task_id)["result"] == "バックグラウンドタスクが完了しました"


def test_a_started_def_runs_in_the_background(launch: Launcher) -> None:
    """`.start()` gives it a thread: the answer comes at once, names the task, and the work goes on."""
    agent = launch.ready("sync_task.py", EXAMPLE_SECONDS="2")

    answer = agent.invoke({"prompt": "start_it"})

    assert agent.ping() == "HealthyBusy"
    [task_id] = answer.task_ids
    task = agent.finished(task_id)
    assert agent.ping() == "Healthy"
    assert (task["state"], task["result"]) == ("COMPLETED", "バックグラウンドタスクが完了しました")
    name = "background_task"
    check(agent, [started(name, task_id), INVOCATION, returned(name), ended(name, task_id)])


def test_a_def_as_the_target_of_a_thread(launch: Launcher) -> None:
    """A thread of the program's own tells nobody which invocation it belongs to; its task is tracked all the same."""
    agent = launch.ready("sync_task.py", EXAMPLE_SECONDS="2")
    name = "background_task"

    agent.invoke({"prompt": "thread_it"})

    task_id = str(wait_for(agent, started(name))["taskId"])
    assert agent.ping() == "HealthyBusy"
    assert agent.finished(task_id)["state"] == "COMPLETED"
    assert agent.ping() == "Healthy"
    wait_for(agent, ended(name, task_id))
    messages = [line["message"] for line in contract_lines(agent)]
    about_it = [message for message in messages if "Async task" in message]
    for message, pattern in zip(about_it, [started(name), returned(name), ended(name)], strict=True):
        assert re.fullmatch(pattern, message)
    assert re.fullmatch(INVOCATION, next(message for message in messages if message not in about_it))
    assert messages[-1] == about_it[-1]


def test_a_task_that_forks(launch: Launcher) -> None:
    """The child is nobody's worker: the task completes once, and nothing but lines of ours comes out."""
    agent = launch.ready("forks.py", PYTHONWARNINGS="ignore")
    [task_id] = agent.invoke({}).task_ids
    assert agent.finished(task_id)["result"] is True
    assert agent.stop() == 0
    assert [line for line in agent.errors if not line.startswith("{")] == []
