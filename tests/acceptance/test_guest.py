"""An agent as a session host starts it: on a Unix socket, behind a secret, with the token of one session."""

from __future__ import annotations

import json
import socket
import stat
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import pytest

from outlast.core.session import SessionKey
from outlast.headers import SECRET, SESSION_ID
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest, WaitTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.task_manager import session_tokens

from .agent_process import PATIENCE, Agent, Answer
from .conftest import Launcher
from .uvicorn_process import SESSION, Uvicorn

MINE = SESSION[SESSION_ID]
OTHER = "o" * 33
AS_HOST = {SECRET: "s3cret", SESSION_ID: MINE}
BEARER = (("authorization", "Bearer people"),)


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


class Guest:
    """A process of the session MINE, beside a task manager that several sessions share."""

    def __init__(self, launch: Launcher, path: Path) -> None:
        manager = launch.task_manager(OUTLAST_TOKEN="people", OUTLAST_WORKER_TOKEN="workers")
        self.manager = str(manager.ready()["address"])
        self.path = path
        self.process: Agent = launch.python("guest.py", **self.environment, OUTLAST_FRONT_DOOR_SOCKET=str(path))

    @property
    def environment(self) -> dict[str, str]:
        """What a host tells it."""
        token = session_tokens.mint("workers", SessionKey("guest", MINE))
        return {
            "OUTLAST_AGENT": "guest",
            "OUTLAST_SESSION": MINE,
            "OUTLAST_TASK_MANAGER": self.manager,
            "OUTLAST_WORKER_TOKEN": token,
            "OUTLAST_TOKEN": token,
            "OUTLAST_FRONT_DOOR_SECRET": "s3cret",
            "PORT": "8080",
        }

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] = AS_HOST) -> Answer:
        """Ask the front door, as the host unless other headers are given."""
        connection = UnixConnection(self.path)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()


@pytest.fixture
def guest(launch: Launcher) -> Iterator[Guest]:
    """Return a guest that is ready; its socket's path is short enough for one."""
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        guest = Guest(launch, Path(folder, "agent.sock"))
        guest.process.ready()
        yield guest
        guest.process.kill()


def test_a_guest_works_for_its_session(guest: Guest) -> None:
    """It says where it answers; its tasks are recorded as the session's, with the session's token, and seen by it."""
    assert guest.process.ready()["address"] == f"unix:{guest.path}"
    assert stat.S_IMODE(guest.path.stat().st_mode) == 0o600
    answer = guest.ask("POST", "/invocations", {"seconds": 0.01})
    assert answer.status == 200, answer.body
    assert answer.json["session"] == MINE
    assert SECRET.lower() not in answer.json["headers"]
    (task_id,) = answer.task_ids
    ended = guest.ask("GET", f"/tasks/{task_id}/wait").json
    assert (ended["state"], ended["result"], ended["sessionId"]) == ("COMPLETED", "done", MINE)
    assert not any("s3cret" in line for line in guest.process.errors)
    guest.process.stop()
    assert not guest.path.exists()


def test_a_guest_answers_its_host_only(guest: Guest) -> None:
    """Without the secret everything is 403; a caller on the socket sees no tasks without a session of its own."""
    for headers in ({}, {SECRET: "guess"}, {SESSION_ID: MINE}):
        for method, path in (("GET", "/ping"), ("POST", "/invocations"), ("GET", "/tasks")):
            assert guest.ask(method, path, headers=headers).status == 403
    assert guest.ask("GET", "/tasks", headers={SECRET: "s3cret"}).status == 403
    refused = guest.ask("POST", "/invocations", {"seconds": 0}, {**AS_HOST, SESSION_ID: OTHER})
    assert (refused.status, "OUTLAST_SESSION" in refused.json["error"]) == (403, True)


def test_a_guest_reaches_nothing_of_another_session(guest: Guest) -> None:
    """Not by its front door, and not by the tokens that it has; the work of its own session it is given."""
    with grpc.insecure_channel(guest.manager) as channel:
        stub: Any = TaskServiceStub  # its types are those of asyncio
        tasks = stub(channel)

        def create(session_id: str) -> str:
            request = CreateTaskRequest(agent="guest", task_type="work", input='{"args": [0]}', session_id=session_id)
            return str(tasks.CreateTask(request, metadata=BEARER).name)

        others, mine = create(OTHER), create(MINE)
        done = tasks.WaitTask(WaitTaskRequest(name=mine), metadata=BEARER)
        assert done.state == Task.COMPLETED
        for headers in (AS_HOST, {**AS_HOST, SESSION_ID: OTHER}, {SECRET: "s3cret", **as_bearer(guest)}):
            assert guest.ask("GET", f"/{others}", headers=headers).status == 404
            assert guest.ask("POST", f"/{others}/cancel", headers=headers).status == 404
            listed = guest.ask("GET", "/tasks", headers=headers).json["tasks"]
            assert others not in [task["name"] for task in listed]
        waiting = tasks.GetTask(GetTaskRequest(name=others), metadata=BEARER)
        assert waiting.state == Task.SUBMITTED


def as_bearer(guest: Guest) -> dict[str, str]:
    """Return the header that shows the token of TaskService that the guest has."""
    return {"Authorization": f"Bearer {guest.environment['OUTLAST_TOKEN']}"}


def test_an_agent_that_uvicorn_runs_has_a_lock_too(launch: Launcher) -> None:
    """Behind another server the secret is wanted as well, and shown to nobody."""
    server = Uvicorn(launch, "mounted.py", OUTLAST_FRONT_DOOR_SECRET="s3cret")
    assert server.ask("GET", "/agent/ping").status == 403
    assert server.ask("POST", "/agent/invocations", {"seconds": 0.01}, **{SECRET: "guess"}).status == 403
    answer = server.ask("POST", "/agent/invocations", {"seconds": 0.01}, **{SECRET: "s3cret"})
    assert (answer.status, answer.json["path"]) == (200, "/invocations")
