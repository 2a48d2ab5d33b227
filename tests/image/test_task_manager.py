"""The image as a task manager apart, with an agent of the same image."""

from __future__ import annotations

import pytest

from .container import TOKEN, Containers

pytestmark = pytest.mark.image

TOKENS = {"OUTLAST_TOKEN": TOKEN, "OUTLAST_WORKER_TOKEN": "worker-token"}


def test_it_wants_tokens(containers: Containers) -> None:
    """Without them it does not start, and says which."""
    refusal = containers.refusal("task-manager")

    assert "will not listen on 0.0.0.0:50051" in refusal
    assert "without OUTLAST_TOKEN and OUTLAST_WORKER_TOKEN" in refusal


def test_it_works_for_an_agent_elsewhere(containers: Containers) -> None:
    """The agent finds it by its name; both are healthy, and its tasks are there for callers outside."""
    place = ("--network", containers.network(), "--health-interval", "1s")
    manager = containers.run(
        ["task-manager"], *place, "--name", "manager", volume=containers.volume(), **TOKENS
    ).ready()
    where = {"OUTLAST_TASK_MANAGER": "manager:50051"}
    agent = containers.run(["run", "agent.py"], *place, volume=containers.volume(), **TOKENS, **where).ready()

    name = agent.invoke({"do": "quick", "topic": "tides"})["task"]["name"]
    task = manager.grpc("WaitTask", {"name": name, "timeout": "30s"})

    assert (task["state"], task["agent"]) == ("COMPLETED", "agent")
    assert '"unauthenticated"' in manager.grpc("GetTask", {"name": name}, token="")
    agent.healthy()
    manager.healthy()
    assert manager.execute("outlast", "health") == "127.0.0.1:50051 is serving"
    assert (agent.stop(), manager.stop()) == (0, 0)
