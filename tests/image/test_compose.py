"""compose.yaml, brought up for real: its networks, volumes, order and checks, with our image and everything of ours."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .compose.stack import Stack
from .compose.stand_ins import make_stand_ins
from .engine import PATIENCE, Engine

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

MANAGERS = ("task-manager-1", "task-manager-2")
#: The exit code of what was killed.
KILLED = 137


@pytest.fixture(scope="module")
def stack(engine: Engine, image: str, base: str) -> Iterator[Stack]:
    """Give everything, up and healthy; a test leaves it so."""
    make_stand_ins(engine, base)
    stack = Stack(engine, image)
    with stack.brought_up():
        yield stack


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    """Give the token that was made when everything was brought up first."""
    return stack.token()


def test_it_starts_in_the_order_of_health(stack: Stack) -> None:
    """One command starts the database once the secrets are made, task managers once it is healthy, then the agent."""
    order = stack.order.index

    assert order(("secrets", "die")) < order(("postgres", "start")) < order(("postgres", "healthy"))
    for manager in MANAGERS:
        assert order(("postgres", "healthy")) < order((manager, "start"))
        assert order((manager, "healthy")) < order(("agent", "start"))


def test_a_task_is_at_either_replica_for_whoever_has_the_token(stack: Stack, token: str) -> None:
    """A task that curl starts from outside completes, and both replicas say so by gRPC to the token and nobody else."""
    task = start(stack, seconds=0.3)

    assert ended(stack, MANAGERS[0], task, token)["result"] == {"topic": "tides", "steps": ["search", "read", "write"]}
    assert get(stack, MANAGERS[1], task, token)["state"] == "COMPLETED"
    for manager in MANAGERS:
        assert "another token" in stack.tasks(stack.service(manager), "get", task, token="guessed").stderr
    assert task in stack.compose("exec", "-T", "agent", "outlast", "tasks", "list")


def test_every_line_of_ours_is_json(stack: Stack) -> None:
    """Whatever the agent and the task managers write is one JSON object a line."""
    for service in ("agent", *MANAGERS):
        container = stack.service(service)

        assert len(container.lines()) == len(container.told().splitlines()) > 0


def test_nobody_reads_more_than_he_needs(stack: Stack) -> None:
    """Tokens are for our user, the password is the database's, its URL the task managers'; nothing else is writable."""
    may_read = {
        "agent": {"tokens/token", "tokens/worker-token"},
        "task-manager-1": {"tokens/token", "tokens/worker-token", "database/url"},
        "postgres": {"database/password"},
    }
    program = (
        "cd /run/outlast; for file in */*; do cat $file >/dev/null 2>&1 && echo $file; done; touch /x || echo closed"
    )
    for service, files in may_read.items():
        assert {*stack.service(service).execute("sh", "-c", program).split()} == {*files, "closed"}


def test_the_trace_of_a_task_arrives_whole(stack: Stack, token: str) -> None:
    """The invocation, its task and the task's steps are spans of one trace, each below the one that it belongs to."""
    task = start(stack, seconds=0.3)
    trace = ended(stack, MANAGERS[1], task, token)["traceContext"]["traceparent"].split("-")[1]
    steps = {"search", "read", "write"}
    deadline = time.monotonic() + PATIENCE
    while not {"POST /invocations", "async_task research", *steps} <= (spans := exported(stack, trace)).keys():
        assert time.monotonic() < deadline, spans
        time.sleep(0.1)

    assert int(spans["async_task research"]["ID"], 16) == int(task)
    assert spans["async_task research"]["Parent ID"] == spans["POST /invocations"]["ID"]
    assert {spans[step]["Parent ID"] for step in steps} == {spans["async_task research"]["ID"]}


def test_prometheus_may_ask_each_process(stack: Stack) -> None:
    """To another container of the network the agent and each replica show their figures."""
    agent = stack.service("agent")
    for service in ("agent", *MANAGERS):
        program = f"import urllib.request as r; print(r.urlopen('http://{service}:9464/metrics').read().decode())"

        assert "\ntarget_info{" in agent.execute("python3", "-c", program)


def test_nothing_is_lost_with_a_replica(stack: Stack, token: str) -> None:
    """When the replica that an agent speaks to is killed, its tasks end, and new ones start, by the other."""
    running = start(stack, seconds=3)
    (served,) = (name for name in MANAGERS if running in str(stack.service(name).lines()))
    (other,) = {*MANAGERS} - {served}

    killed = stack.service(served)
    killed.kill()
    later = start(stack, seconds=0.3)

    assert [ended(stack, other, task, token)["state"] for task in (running, later)] == ["COMPLETED", "COMPLETED"]
    assert get(stack, other, running, token)["attempt"] == 1
    killed.start()
    killed.healthy()
    assert get(stack, served, later, token)["state"] == "COMPLETED"


def test_stopped_and_removed_it_goes_on_where_it_was(stack: Stack, token: str) -> None:
    """A stop ends everything by itself and records the task at work; from its volumes everything comes up as it was."""
    completed, running = start(stack, seconds=0.3), start(stack, seconds=600)
    before = ended(stack, MANAGERS[0], completed, token)

    stack.compose("stop")
    codes = {service: stack.service(service).state["ExitCode"] for service in ("agent", *MANAGERS, "postgres")}
    stack.compose("down")
    stack.up()

    assert KILLED not in codes.values(), codes
    assert stack.token() == token
    assert get(stack, MANAGERS[1], completed, token) == before
    assert get(stack, MANAGERS[0], running, token)["stateReason"] == "WORKER_SHUTDOWN"


def start(stack: Stack, *, seconds: float) -> str:
    """Invoke the agent; return the id of the task that it has started."""
    return str(stack.service("agent").invoke({"prompt": "tides", "seconds": seconds})["task"]["taskId"])


def get(stack: Stack, manager: str, task: str, token: str, command: str = "get") -> dict[str, Any]:
    """Return a task as a replica has it."""
    done = stack.tasks(stack.service(manager), command, task, "--json", token=token)
    assert done.stdout, f"{done.stderr}\n{stack.told()}"
    return dict(json.loads(done.stdout))


def ended(stack: Stack, manager: str, task: str, token: str) -> dict[str, Any]:
    """Return a task, from a replica, once it has ended."""
    return get(stack, manager, task, token, "wait")


def exported(stack: Stack, trace: str) -> dict[str, dict[str, str]]:
    """Return the spans of a trace that have arrived, by name."""
    jaeger = stack.service("jaeger")
    spans = "\n".join(jaeger.engine.logs(jaeger.id)).split("\nSpan #")[1:]
    found = [dict(re.findall(r"^    ([\w ]+?) +: (.*)$", span, re.MULTILINE)) for span in spans]
    return {span["Name"]: span for span in found if span["Trace ID"] == trace}
