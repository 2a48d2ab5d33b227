"""The image as an agent with a task manager of its own."""

from __future__ import annotations

from typing import Any

import pytest

from .container import STATE, TOKEN, Container, Containers

pytestmark = pytest.mark.image

AGENT = ("run", "agent.py")


def task_of(container: Container, name: str) -> Any:
    """Return a task as TaskService tells it outside."""
    return container.grpc("GetTask", {"name": name})


def ended(container: Container, name: str) -> Any:
    """Return a task that ends now."""
    return container.grpc("WaitTask", {"name": name, "timeout": "30s"})


def test_an_agent_is_served_stopped_and_started_again(containers: Containers) -> None:
    """With one volume to write to: HTTP and gRPC answer outside, the engine sees health, and no task is lost."""
    # Less than by default, so that a busy machine has the time of `docker stop` for the rest.
    grace = {"OUTLAST_SHUTDOWN_GRACE": "4s"}
    agent = containers.run(AGENT, volume=containers.volume(), OUTLAST_TOKEN=TOKEN, **grace).ready()

    done = agent.invoke({"do": "quick", "topic": "tides"})["task"]["name"]
    assert ended(agent, done)["state"] == "COMPLETED"
    assert agent.http("GET", f"/{done}", None, f"Authorization: Bearer {TOKEN}").json["result"] == {
        "topic": "tides",
        "user": 1000,
        "temporary": STATE,
    }
    assert '"unauthenticated"' in agent.grpc("ListTasks", {}, token="")
    assert [task["name"] for task in agent.grpc("ListTasks", {})["tasks"]] == [done]
    assert done.removeprefix("tasks/") in agent.execute("outlast", "tasks", "list")

    orphans = agent.invoke({"do": "orphans", "number": 3})["processes"]
    agent.until(lambda: not agent.invoke({"do": "left", "processes": orphans})["processes"], "the end of orphans")

    at_work = agent.invoke({"do": "endless"})["task"]["name"]
    agent.healthy()
    assert agent.http("GET", "/ping").json["status"] == "HealthyBusy"
    assert agent.execute("outlast", "health") == "127.0.0.1:8080 is HealthyBusy"
    assert agent.stop() == 0
    agent.start()

    assert ended(agent, done)["state"] == "COMPLETED"
    stopped = task_of(agent, at_work)
    assert (stopped["state"], stopped["stateReason"]) == ("FAILED", "WORKER_SHUTDOWN")


def test_a_killed_container_loses_nothing(containers: Containers) -> None:
    """A new one on its volume has every task: with its result, lost, or at work again, as its policy says."""
    volume = containers.volume()
    agent = containers.run(AGENT, volume=volume, OUTLAST_TOKEN=TOKEN).ready()
    done = [agent.invoke({"do": "quick", "topic": topic})["task"]["name"] for topic in ("tides", "moons")]
    for name in done:
        ended(agent, name)
    lost = agent.invoke({"do": "endless"})["task"]["name"]
    again = agent.invoke({"do": "again"})["task"]["name"]
    agent.kill()

    heir = containers.run(AGENT, volume=volume, OUTLAST_TOKEN=TOKEN).ready()

    assert {task["name"] for task in heir.grpc("ListTasks", {})["tasks"]} == {*done, lost, again}
    assert [ended(heir, name)["state"] for name in done] == ["COMPLETED", "COMPLETED"]
    assert (ended(heir, lost)["state"], task_of(heir, lost)["stateReason"]) == ("FAILED", "WORKER_LOST")
    assert (ended(heir, again)["state"], task_of(heir, again)["result"]) == ("COMPLETED", '{"attempt": 2}')


def test_an_agent_without_a_token(containers: Containers) -> None:
    """Its gRPC is for the container alone; its front door is not, nor its metrics; and it writes where it likes."""
    agent = containers.run(AGENT, OTEL_METRICS_EXPORTER="prometheus").ready()

    name = agent.invoke({"do": "quick", "topic": "tides"})["task"]["name"]

    assert isinstance(agent.grpc("ListTasks", {}), str)
    assert name.removeprefix("tasks/") in agent.execute("outlast", "tasks", "list")
    page = "import socket, urllib.request as r; print(r.urlopen(f'http://{socket.gethostname()}:9464/metrics').status)"
    assert agent.execute("python3", "-c", page) == "200"


def test_a_database_instead_of_a_file(containers: Containers) -> None:
    """With a store elsewhere the socket of the task manager is on the volume too: what is missing is the database."""
    refusal = containers.refusal(*AGENT, OUTLAST_STORE="postgresql://nobody@127.0.0.1:1/none")

    assert "127.0.0.1" in refusal
    assert "temporary" not in refusal
