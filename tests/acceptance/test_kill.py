"""Promise 1 against `kill -9`: what an answer spoke of is on record."""

from __future__ import annotations

import random
import threading
import time

import pytest

from .agent_process import Agent
from .conftest import Launcher
from .log_lines import ended, wait_for


def invoke_and_kill(agent: Agent, delay: float | None) -> list[str]:
    """Kill the agent right after an invocation's answer, or ``delay`` seconds into a storm of them.

    Returns every task that an answer spoke of.
    """
    if delay is None:
        spoken_of = agent.invoke({"start": "three"}).json["taskIds"]
        agent.kill()
        return list(spoken_of)
    answered: list[str] = []

    def storm() -> None:
        try:
            while True:
                answered.extend(agent.invoke({"start": "three"}).json["taskIds"])
        except (OSError, AssertionError, ValueError):  # the process is gone, in the middle of whatever
            return

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(delay)  # the moment is what is tested
    agent.kill()
    for thread in threads:
        thread.join()
    return answered


def kill_and_restart(launch: Launcher, rounds: int, delays: random.Random | None = None) -> int:
    """Kill, restart on the same store and look every task up, again and again; return how many were looked up."""
    spoken_of: list[str] = []
    agent = launch.ready("gate.py")
    for _ in range(rounds):
        new = invoke_and_kill(agent, delays.uniform(0.0, 0.5) if delays else None)
        agent = launch.ready("gate.py")
        for task_id in new:
            task = agent.task(task_id)
            assert task["taskType"] in ("coroutine", "function", "by_hand")
            assert (task["state"], task["stateReason"]) == ("FAILED", "WORKER_LOST"), task
            wait_for(agent, ended(task["taskType"], task_id, "lost"))
        spoken_of += new
    assert len(set(spoken_of)) == len(spoken_of)
    return len(spoken_of)


@pytest.mark.timeout(300)
def test_a_kill_right_after_the_answer_loses_nothing(launch: Launcher) -> None:
    """20 rounds: after the restart every task that the answer named is on record, and is told to be lost."""
    assert kill_and_restart(launch, 20) == 60


@pytest.mark.soak
def test_a_kill_at_any_moment_loses_nothing_that_was_answered(launch: Launcher) -> None:
    """200 rounds at random moments: every task that any answer named is on record."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    assert kill_and_restart(launch, 200, random.Random(seed)) > 200
