"""The first programs of both documents: a daemon thread, tracked by hand."""

from __future__ import annotations

import pytest

from .agent_process import EXAMPLES
from .conftest import Launcher
from .log_lines import INVOCATION, check, ended, started


@pytest.mark.parametrize(
    ("program", "prompt", "name", "words"),
    [
        ("manual_thread.py", "start a 3 second task", "background_processing", "Agent status is now BUSY."),
        ("manual_thread_ja.py", "非同期タスクを実行して", "ダミー処理", "バックグラウンドタスクを開始しました"),
    ],
)
def test_a_thread_tracked_by_hand(launch: Launcher, program: str, prompt: str, name: str, words: str) -> None:
    """The answer comes while the thread works, /ping says HealthyBusy until it is done; three lines are told."""
    agent = launch.ready(program, EXAMPLE_SECONDS="2")
    assert agent.ping() == "Healthy"

    answer = agent.invoke({"prompt": prompt})

    assert agent.ping() == "HealthyBusy"
    [task_id] = answer.task_ids
    assert words in answer.body.decode()
    task = agent.finished(task_id)
    assert agent.ping() == "Healthy"
    assert task["name"] == f"tasks/{task_id}"
    assert (task["taskType"], task["state"]) == (name, "COMPLETED")
    check(agent, [started(name, task_id), INVOCATION, ended(name, task_id)])


def test_the_first_program_says_what_to_do_next(launch: Launcher) -> None:
    """At its start it tells that the model is scripted, which line to change, and which curl line to try."""
    agent = launch.ready("manual_thread.py")
    agent.stop()
    told = "\n".join(agent.output)
    assert "model of this example is scripted" in told
    source = (EXAMPLES / "manual_thread.py").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(source, 1) if text.startswith("agent = "))
    assert f"manual_thread.py, line {line}" in told
    assert "curl -X POST http://localhost:8080/invocations" in told
