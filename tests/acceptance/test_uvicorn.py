"""``uvicorn agent:app``: a program for the original with outlast standing in, and one of outlast's own.

That every request is answered as by ``outlast run`` is proved in tests/differential; here is what needs a process.
"""

from __future__ import annotations

import socket

import pytest

from .agent_process import until
from .conftest import Launcher
from .uvicorn_process import Uvicorn


@pytest.mark.parametrize("options", [(), ("--lifespan", "off"), ("--loop", "asyncio")], ids=" ".join)
def test_a_program_for_the_original(launch: Launcher, options: tuple[str, ...]) -> None:
    """It answers, streams and keeps its tasks, whether or not the server has a lifespan."""
    server = Uvicorn(launch, "toolkit_agent.py", *options)

    answer = server.invoke(prompt="hi")
    stream = server.invoke(prompt="one two", stream=True)

    assert (answer.json["response"], answer.json["session"]) == ("You said hi", "s" * 33)
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.body == b'data: "one "\n\ndata: "two "\n\ndata: {"done": true}\n\n'
    assert server.ask("GET", "/ping").json["status"] == "Healthy"


@pytest.mark.parametrize("options", [(), ("--lifespan", "off")], ids=" ".join)
def test_tasks_are_recorded(launch: Launcher, options: tuple[str, ...]) -> None:
    """A task is on record when the answer comes, /ping is busy until it ends, and its end is recorded."""
    server = Uvicorn(launch, "served.py", *options)

    [task_id] = server.invoke(do="hold", name="by hand").task_ids
    assert server.ask("GET", f"/tasks/{task_id}").json["state"] == "WORKING"
    assert server.ask("GET", "/ping").json["status"] == "HealthyBusy"
    server.invoke(do="let go", name="by hand")

    ended = server.ask("GET", f"/tasks/{task_id}/wait").json
    assert (ended["state"], ended["result"], ended["agent"]) == ("COMPLETED", "by hand", "served")
    assert server.ask("GET", "/ping").json["status"] == "Healthy"


@pytest.mark.parametrize("gap", [0, 0.01, 3600], ids=["flood", "trickle", "silence"])
def test_a_client_that_leaves_a_stream(launch: Launcher, gap: float) -> None:
    """The generator is closed, however fast it is read and however silent it is, and the next request answered."""
    server = Uvicorn(launch, "served.py")
    with server.open("POST", "/invocations", {"do": "stream", "gap": gap}) as stream:
        assert stream.readline() == b'data: "word 0"\n'

    until(lambda: server.process.output == ["closed"], "the end of the generator")
    assert server.ask("GET", "/ping").json["status"] == "Healthy"


def test_a_task_is_durable_when_the_answer_comes(launch: Launcher) -> None:
    """A process that is killed right after its answer has lost nothing that it spoke of."""
    server = Uvicorn(launch, "served.py")
    [task_id] = server.invoke(do="start", seconds=3600).task_ids
    server.process.kill()

    again = launch.ready("served.py")
    assert again.task(task_id)["taskType"] == "work"


def test_sigterm_with_a_task_at_work(launch: Launcher) -> None:
    """The task that ends within the grace is waited for; the other one is recorded as lost with its process."""
    server = Uvicorn(launch, "served.py", OUTLAST_SHUTDOWN_GRACE="2")
    [short] = server.invoke(do="start", seconds=0.5).task_ids
    [long] = server.invoke(do="start", seconds=3600).task_ids

    server.process.stop()

    again = launch.ready("served.py")
    assert again.task(short)["state"] == "COMPLETED"
    lost = again.task(long)
    assert (lost["state"], lost["stateReason"]) == ("FAILED", "WORKER_SHUTDOWN")


def test_sigterm_without_a_lifespan(launch: Launcher) -> None:
    """uvicorn then ends the process without a word to the agent: its task is recorded as lost by the next one."""
    server = Uvicorn(launch, "served.py", "--lifespan", "off")
    [task_id] = server.invoke(do="start", seconds=3600).task_ids

    server.process.stop()

    lost = launch.ready("served.py").finished(task_id)
    assert (lost["state"], lost["stateReason"]) == ("FAILED", "WORKER_LOST")


def test_two_workers(launch: Launcher) -> None:
    """Two processes share a port and a store: each finds the tasks of both, and all are recorded."""
    server = Uvicorn(launch, "served.py", "--workers", "2", OUTLAST_SHUTDOWN_GRACE="0.5")
    try:
        until(lambda: len(server.process.lines) == 2, "the ready lines")
        tasks: dict[int, str] = {}

        def seen_both() -> bool:
            answer = server.invoke(do="hold", name=f"held {len(tasks)}")
            tasks[answer.json] = answer.task_ids[0]
            return len(tasks) == 2

        until(seen_both, "an answer of each worker")

        for task_id in tasks.values():
            for _ in range(8):  # asked again, of either worker
                assert server.ask("GET", f"/tasks/{task_id}").json["state"] == "WORKING"
    finally:
        server.process.stop()  # it ends its workers, which nobody else does


def test_a_port_that_is_taken_is_uvicorns_to_tell(launch: Launcher) -> None:
    """The process ends with uvicorn's words, and nothing of ours keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        folder = str(launch.find("served.py").parent)
        port = str(taken.getsockname()[1])
        process = launch.process(["-m", "uvicorn", "served:app", "--app-dir", folder, "--port", port])

        assert process.wait() == 3  # uvicorn's own code for a start that failed
        assert any("address already in use" in line for line in process.errors)
