"""A program's lifespan around the agent's life."""

from __future__ import annotations

from .conftest import Launcher


def test_it_is_entered_before_the_first_request_and_left_after_the_last_task(launch: Launcher) -> None:
    """What it opens is there for handlers, on the loop that they run on, and closed once the tasks have ended."""
    agent = launch.ready("lifespan.py")
    assert agent.output == ["opened on outlast-agent"]
    assert agent.invoke({"work": True}).json == {"greeting": "hello", "own loop": True}
    assert agent.stop() == 0
    assert agent.output[1:] == ["the task ends, the pool is open", "closed"]


def test_one_that_fails_to_start_refuses_the_start(launch: Launcher) -> None:
    """The process ends with one line that names the cause, after the traceback in the log."""
    agent = launch.agent("lifespan.py", FAIL="start")
    assert agent.wait() == 1
    assert agent.errors[-1] == "outlast: the lifespan of the program raised ValueError: no database here"
    line = agent.wait_message("the program's lifespan failed to start")
    assert (line["errorType"], line["errorMessage"]) == ("ValueError", "no database here")


def test_one_that_fails_to_end_is_told(launch: Launcher) -> None:
    """The log has its traceback; the process ends as it would."""
    agent = launch.ready("lifespan.py", FAIL="end")
    assert agent.stop() == 0
    assert agent.wait_message("the program's lifespan failed to end")["errorMessage"] == "cannot close"
