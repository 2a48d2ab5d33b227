"""Sessions stopped by boto3; listed, looked at and stopped over HTTP; and the tasks of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote

import grpc.aio
import pytest
from botocore.exceptions import ClientError

from outlast.core.session import SessionKey
from outlast.tasks.channel import Replicas
from outlast.v1 import task_pb2
from outlast.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from outlastd.front_door.task_client import TaskClient
from outlastd.session_host.api_error import denied
from outlastd.session_host.principal import Principal
from outlastd.session_host.session_view import ViewState

from ...front_door.task_service import ScriptedTaskService
from .stage import SESSION, Stage

KEY = SessionKey("my_agent", SESSION)
STOP = "/runtimes/my_agent/stopruntimesession"
TASKS = "/runtimes/my_agent/tasks"
STRANGER = Principal("stranger", user="stranger")


@pytest.fixture
async def task_service() -> ScriptedTaskService:
    """A task manager from a script."""
    return ScriptedTaskService()


@pytest.fixture
async def stage(closed_stage: Stage, task_service: ScriptedTaskService) -> AsyncIterator[Stage]:
    """A stage with a task manager."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_TaskServiceServicer_to_server(task_service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channels = Replicas([f"127.0.0.1:{port}"])
    async with AsyncExitStack() as stay:
        stay.push_async_callback(server.stop, None)
        stay.push_async_callback(channels.close)
        yield await closed_stage.open(task_client=TaskClient(channels))


# -- StopRuntimeSession ------------------------------------------------------------------------------------


async def test_a_stop(stage: Stage) -> None:
    """boto3 stops a session; stopping it again is an error, but for a repeat with the same token."""
    stage.sessions.begin()
    token = "t" * 33

    for _ in range(2):
        answer = await stage.call("stop_runtime_session", runtimeSessionId=SESSION, clientToken=token)
        assert (answer["statusCode"], answer["runtimeSessionId"]) == (200, SESSION)
    assert stage.sessions.stopped == [KEY]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        await stage.call("stop_runtime_session", runtimeSessionId=SESSION)


async def test_a_stop_that_cannot_be_meant(stage: Stage) -> None:
    """A stop names a session, and has an object for its body or nothing."""
    stage.sessions.begin()

    for body in (
        b"[]",
        b'"text"',
        b"{",
        b"[" * 60_000,
        b'{"clientToken": 1}',
        b'{"clientToken": "short"}',
        b"x" * 70_000,
    ):
        assert (await stage.ask("POST", STOP, data=body)).error == (400, "ValidationException")
    for session in (None, "short"):
        assert (await stage.ask("POST", STOP, session=session)).error == (400, "ValidationException")
    assert (await stage.ask("POST", f"{STOP}?qualifier=x")).error == (404, "ResourceNotFoundException")
    assert (await stage.ask("POST", STOP.replace("my_", "no_"))).error == (404, "ResourceNotFoundException")
    assert not stage.sessions.stopped
    assert (await stage.ask("POST", STOP)).json == {}


async def test_a_stop_of_somebody_elses_session(stage: Stage) -> None:
    """A session that the caller does not see is not there."""
    stage.sessions.begin(user="alice")
    stage.auth.principal = STRANGER

    assert (await stage.ask("POST", STOP)).error == (404, "ResourceNotFoundException")
    assert not stage.sessions.stopped


# -- what AWS has not ----------------------------------------------------------------------------------------


async def test_the_list(stage: Stage) -> None:
    """The sessions that the caller sees are listed, by agent and state, a page at a time."""
    stage.sessions.begin(user="alice")

    told = await stage.ask("GET", "/sessions?agent=my_agent&state=idle,ACTIVE&state=STOPPED&pageSize=7&pageToken=t")

    assert [session["sessionId"] for session in told.json["sessions"]] == [SESSION]
    assert told.json["nextPageToken"] == "next"
    states = frozenset({ViewState.IDLE, ViewState.ACTIVE, ViewState.STOPPED})
    assert stage.sessions.listed == [{"agent": "my_agent", "states": states, "page_size": 7, "page_token": "t"}]
    stage.auth.principal = STRANGER
    assert (await stage.ask("GET", "/sessions")).json["sessions"] == []
    for query in ("state=dead", "pageSize=x"):
        assert (await stage.ask("GET", f"/sessions?{query}")).error == (400, "ValidationException")


async def test_one_session(stage: Stage, task_service: ScriptedTaskService) -> None:
    """One session is shown with its tasks; the id may be percent-encoded."""
    stage.sessions.begin()
    task_service.add(7, agent="my_agent", session_id=SESSION)

    told = await stage.ask("GET", f"/sessions/my_agent/{quote(SESSION, safe='').replace('-', '%2D')}")

    assert (told.json["sessionId"], told.json["agent"]) == (SESSION, "my_agent")
    assert [task["taskId"] for task in told.json["tasks"]] == ["7"]
    assert (await stage.ask("GET", f"/sessions/my_agent/{SESSION}x")).error == (404, "ResourceNotFoundException")
    for odd in ("short", SESSION + "%00", "..%2F" * 20):
        assert (await stage.ask("GET", f"/sessions/my_agent/{odd}")).error == (400, "ValidationException")
    stage.auth.principal = STRANGER
    assert (await stage.ask("GET", f"/sessions/my_agent/{SESSION}")).error == (404, "ResourceNotFoundException")


async def test_one_session_is_stopped(stage: Stage) -> None:
    """A session is stopped by its name, and shown as it is then."""
    stage.sessions.begin()

    told = await stage.ask("POST", f"/sessions/my_agent/{SESSION}/stop")

    assert (told.status, told.json["state"]) == (200, "STOPPED")
    assert stage.sessions.stopped == [KEY]


# -- tasks ---------------------------------------------------------------------------------------------------


async def test_the_tasks_of_a_session(stage: Stage, task_service: ScriptedTaskService) -> None:
    """The tasks of the session in the header are listed, and answered one by one; others are not there."""
    stage.sessions.begin()
    task_service.add(7, agent="my_agent", session_id=SESSION)
    task_service.add(8, agent="my_agent", session_id="another")
    task_service.add(9, agent="another", session_id=SESSION)

    assert [task["taskId"] for task in (await stage.ask("GET", TASKS)).json["tasks"]]
    assert task_service.asked[-1].session_id == SESSION
    assert task_service.asked[-1].agent == "my_agent"
    assert (await stage.ask("GET", f"{TASKS}/7")).json["taskId"] == "7"
    assert (await stage.ask("POST", f"{TASKS}/7/cancel")).status == 200
    for path in (f"{TASKS}/8", f"{TASKS}/9", f"{TASKS}/x", f"{TASKS}/7/nothing", f"{TASKS}/..%2F..%2Fsessions"):
        assert (await stage.ask("GET", path)).error == (404, "ResourceNotFoundException")
    assert (await stage.ask("GET", TASKS + "?session=another")).json == {"tasks": []}
    assert (await stage.ask("GET", TASKS + "/events?session=another")).error == (404, "ResourceNotFoundException")
    assert (await stage.ask("GET", TASKS + "?state=x")).error == (400, "ValidationException")


async def test_the_events_of_a_task(stage: Stage, task_service: ScriptedTaskService) -> None:
    """A task's events are streamed as the front door of its agent does."""
    stage.sessions.begin()
    task_service.add(7, agent="my_agent", session_id=SESSION)
    task_service.events.append(task_pb2.TaskEvent(task="tasks/7", generation=1, state=task_pb2.Task.COMPLETED))

    told = await stage.ask("GET", f"{TASKS}/7/events")

    assert told.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    (line,) = [line for line in told.body.splitlines() if line.startswith(b"data: ")]
    assert json.loads(line.removeprefix(b"data: "))["state"] == "COMPLETED"


async def test_tasks_of_a_session_that_is_not_ones_own(stage: Stage, task_service: ScriptedTaskService) -> None:
    """Tasks are answered for a session that is named and that the caller sees, whatever it shows beside."""
    stage.sessions.begin(user="alice")
    task_service.add(7, agent="my_agent", session_id=SESSION)
    assert (await stage.ask("GET", TASKS, session=None)).error == (400, "ValidationException")
    assert (await stage.ask("GET", TASKS, session="unknown" * 6)).error == (404, "ResourceNotFoundException")
    stage.auth.principal = STRANGER

    for path in (TASKS, f"{TASKS}/7", f"{TASKS}/7/wait", f"{TASKS}/events"):
        assert (await stage.ask("GET", path)).error == (404, "ResourceNotFoundException")
    assert not task_service.asked


async def test_a_task_manager_that_is_away(stage: Stage, task_service: ScriptedTaskService) -> None:
    """An error of the task manager has the shape of the API's errors, and the manager's own code."""
    stage.sessions.begin()
    task_service.failure = grpc.StatusCode.UNAVAILABLE

    told = await stage.ask("GET", f"{TASKS}/7")

    assert told.error == (503, "InternalServerException")
    assert told.json["code"] == "UNAVAILABLE"


async def test_who_is_not_believed(stage: Stage) -> None:
    """All of it asks who it is."""
    stage.sessions.begin()
    stage.auth.unproved = denied()
    asked: list[tuple[str, str]] = [
        ("POST", STOP),
        ("GET", "/sessions"),
        ("GET", f"/sessions/my_agent/{SESSION}"),
        ("POST", f"/sessions/my_agent/{SESSION}/stop"),
        ("GET", TASKS),
        ("GET", f"{TASKS}/7"),
    ]
    answers: list[Any] = await asyncio.gather(*(stage.ask(method, path) for method, path in asked))

    assert {answer.error for answer in answers} == {(403, "AccessDeniedException")}
