"""An App that other servers serve: uvicorn, an application that mounts it, a client without any server."""

from __future__ import annotations

from .agent_process import until
from .conftest import Launcher
from .uvicorn_process import Uvicorn


def test_an_agent_below_a_path(launch: Launcher) -> None:
    """Mounted, it answers below its path; without a lifespan its services start with the first request."""
    server = Uvicorn(launch, "mounted.py")
    answer = server.ask("POST", "/agent/invocations", {"seconds": 0.01})
    assert (answer.status, answer.json["path"]) == (200, "/invocations")
    (task_id,) = answer.task_ids
    ended = server.ask("GET", f"/agent/tasks/{task_id}/wait").json
    assert (ended["state"], ended["result"], ended["agent"]) == ("COMPLETED", "done", "mounted")
    assert server.ask("GET", "/agent/nowhere").status == 404
    assert server.process.stop() in (0, -15)  # uvicorn raises the signal again when it has ended


def test_a_client_that_leaves_closes_the_generator(launch: Launcher) -> None:
    """The stream of a client that has gone is not read to its end."""
    server = Uvicorn(launch, "mounted.py")
    with server.open("POST", "/agent/invocations", {"stream": True}) as stream:
        assert stream.readline() == b"data: 0\n"
    until(lambda: server.process.output == ["closed"], "the end of the generator")


def test_what_is_too_large_or_from_elsewhere_is_refused(launch: Launcher) -> None:
    """Limits and guard are the door's, whatever serves it."""
    server = Uvicorn(launch, "mounted.py", OUTLAST_MAX_BODY_BYTES="100")
    assert server.ask("POST", "/agent/invocations", {"text": "x" * 100}).status == 413
    assert server.ask("GET", "/agent/ping", Host="evil.example").status == 403
    assert server.ask("GET", "/agent/ping", Origin="https://evil.example").status == 403
    assert server.ask("GET", "/agent/ping").status == 200


def test_the_lifespan_runs_on_the_servers_loop(launch: Launcher) -> None:
    """It is entered before the first request, and left after the last task: then the store is closed."""
    server = Uvicorn(launch, "lifespan.py")
    until(lambda: server.process.output == ["opened on MainThread"], "the lifespan")
    answer = server.ask("POST", "/invocations", {"work": True})
    assert answer.json == {"greeting": "hello", "own loop": False}
    server.process.stop()
    assert server.process.output[1:] == ["the task ends, the pool is open", "closed"]


def test_a_lifespan_that_fails_ends_the_server(launch: Launcher) -> None:
    """uvicorn says why and exits with its own code."""
    server = Uvicorn(launch, "lifespan.py", FAIL="start")
    assert server.process.wait() == 3
    assert any("ValueError: no database here" in line for line in server.process.errors)
    server.process.errors.clear()  # the traceback there is uvicorn's way to say so


def test_what_refuses_to_start_is_one_line(launch: Launcher) -> None:
    """The line names cause and cure, and stands in uvicorn's log."""
    server = Uvicorn(launch, "lifespan.py", OUTLAST_STORE="nonsense")
    assert server.process.wait() == 3
    assert any("OUTLAST_STORE: 'nonsense' is no store" in line for line in server.process.errors)


def test_without_a_server_the_end_of_the_program_is_the_end(launch: Launcher) -> None:
    """A script that ends while a task is at work waits for it, and its end is on record."""
    folder = str(launch.find("no_server.py").parent)
    script = launch.process([str(launch.find("no_server.py"))], PYTHONPATH=folder)
    assert script.wait() == 0
    (task_id,) = script.output
    again = launch.ready("mounted.py")
    assert again.task(task_id)["state"] == "COMPLETED", script.errors
