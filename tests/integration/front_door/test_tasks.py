"""``/tasks``: shapes, errors and who may ask."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import status_pb2

from outlast.core.errors import IllegalTransition, InvalidField, StoreUnavailable
from outlast.v1 import task_pb2
from outlastd.front_door.rules import InvocationRules

from .conftest import Agent, Open

SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
Task = task_pb2.Task
Event = task_pb2.TaskEvent


async def test_a_task_is_the_protos_json_with_values_for_text(agent: Agent, open_door: Open) -> None:
    """Names and times are those of the proto's JSON mapping; result, input and metadata are the values themselves."""
    agent.tasks.add(
        7,
        state=Task.COMPLETED,
        epoch=2**53 + 1,
        result='{"n": 123456789012345678901234567890, "x": NaN, "y": [-Infinity, "NaN"], "s": "\\ud800"}',
        input='{"args": [1.10], "kwargs": {}}',
        metadata='{"a": null}',
        error=status_pb2.Status(code=2, message="no"),
    )
    client = await open_door()

    answer = await client.get("/tasks/7")
    text = answer.body.decode()

    assert text.startswith('{"name": "tasks/7", "taskId": "7", "taskType": "work", "state": "COMPLETED", ')
    assert (
        '"result": {"n": 123456789012345678901234567890, "x": "NaN", "y": ["-Infinity", "NaN"], "s": "\\ud800"}' in text
    )
    assert '"input": {"args": [1.10], "kwargs": {}}' in text
    assert (answer.json["epoch"], answer.json["metadata"]) == (str(2**53 + 1), {"a": None})
    assert answer.json["error"] == {"code": 2, "message": "no"}


async def test_a_detail_of_an_unknown_type_hides_no_task(agent: Agent, open_door: Open) -> None:
    """An error whose details nobody here can name is shown without them."""
    task = agent.tasks.add(7, state=Task.FAILED, error=status_pb2.Status(code=2, message="no"))
    task.error.details.add(type_url="type.googleapis.com/unknown.Type", value=b"x")
    client = await open_door()

    answer = await client.get("/tasks/7")

    assert answer.json["error"] == {"code": 2, "message": "no"}


async def test_a_list_passes_its_filters_on(agent: Agent, open_door: Open) -> None:
    """States (repeated or with commas), session and paging reach the task manager, with this agent's name."""
    agent.tasks.add(7, session_id="s")
    client = await open_door()

    answer = await client.get("/tasks?state=WORKING,failed&state=CANCELED&session=s&pageSize=5&pageToken=t")
    asked = agent.tasks.asked[-1]

    assert [task["taskId"] for task in answer.json["tasks"]] == ["7"]
    assert answer.json["nextPageToken"] == "more"
    assert list(asked.states) == [Task.WORKING, Task.FAILED, Task.CANCELED]
    assert (asked.agent, asked.session_id, asked.page_size, asked.page_token) == ("agent", "s", 5, "t")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/tasks?state=SLEEPING", "state"),
        ("/tasks?pageSize=-1", "pageSize"),
        ("/tasks/7/wait?timeout=soon", "timeout"),
        ("/tasks/7/wait?timeout=nan", "timeout"),
        ("/tasks/7/events?after=x", "after"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(agent: Agent, open_door: Open, path: str, field: str) -> None:
    """What a parameter cannot be is refused with its name."""
    agent.tasks.add(7)
    client = await open_door()

    answer = await client.get(path)

    assert (400, "INVALID_ARGUMENT", field) == (answer.status, answer.json["code"], answer.json["field"])


@pytest.mark.parametrize("task_id", ["8", "abc", "07", "-1", "9223372036854775808", "%20"])
async def test_an_unknown_task_is_404_and_named(agent: Agent, open_door: Open, task_id: str) -> None:
    """A task that is not there is 404, whatever its id looks like."""
    client = await open_door()

    answer = await client.get(f"/tasks/{task_id}")

    assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert answer.json["error"].endswith("does not exist")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (IllegalTransition(7, "COMPLETED", "CANCELED"), 409, "FAILED_PRECONDITION"),
        (InvalidField("name", "is wrong"), 400, "INVALID_ARGUMENT"),
        (StoreUnavailable("the disk is full"), 503, "UNAVAILABLE"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429, "RESOURCE_EXHAUSTED"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504, "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.INTERNAL, 500, "INTERNAL"),
    ],
)
async def test_errors_of_the_task_manager_keep_their_meaning(
    agent: Agent, open_door: Open, failure: Any, status: int, code: str
) -> None:
    """Each status has one in HTTP; those that pass tell when to come back."""
    agent.tasks.failure = failure
    client = await open_door()

    answer = await client.get("/tasks/7")

    assert (status, code) == (answer.status, answer.json["code"])
    assert ("Retry-After" in answer.headers) is (status in (429, 503))


async def test_a_session_sees_its_own_tasks_only(agent: Agent, open_door: Open) -> None:
    """With a session header other sessions' tasks do not exist, for any of the paths; nothing is done to them."""
    agent.tasks.add(7, session_id="mine")
    agent.tasks.add(8, session_id="theirs")
    agent.tasks.add(9, session_id="mine", agent="another")
    client = await open_door()

    async def status(method: str, path: str) -> int:
        return (await client.ask(method, path, headers={SESSION: "mine"})).status

    mine = [
        await status("GET", "/tasks/7"),
        await status("POST", "/tasks/7/cancel"),
        await status("GET", "/tasks/7/wait"),
    ]
    theirs = [
        await status(method, f"/tasks/{task_id}{action}")
        for task_id in (8, 9)
        for method, action in (("GET", ""), ("POST", "/cancel"), ("GET", "/wait"), ("GET", "/events"))
    ]
    listed = await client.ask("GET", "/tasks", headers={SESSION: "mine"})
    other = await client.ask("GET", "/tasks?session=theirs", headers={SESSION: "mine"})

    assert mine == [200] * 3
    assert theirs == [404] * 8
    assert {task["sessionId"] for task in listed.json["tasks"]} == {"mine"}
    assert other.json == {"tasks": []}


async def test_without_a_session_only_this_machine_may_ask(agent: Agent, open_door: Open) -> None:
    """A peer on loopback sees all sessions; what a proxy passed on needs a session or the token."""
    agent.tasks.add(7, session_id="s")
    client = await open_door(token="secret")
    far = {"X-Forwarded-For": "192.0.2.1"}

    near = await client.get("/tasks/7")
    refused = await client.ask("GET", "/tasks/7", headers=far)
    wrong = await client.ask("GET", "/tasks/7", headers={**far, "Authorization": "Bearer guess"})
    shown = await client.ask("GET", "/tasks/7", headers={**far, "Authorization": "Bearer secret"})
    lifted = await client.ask("GET", "/tasks/7", headers={SESSION: "another", "Authorization": "Bearer secret"})

    assert [near.status, refused.status, wrong.status, shown.status, lifted.status] == [200, 403, 403, 200, 200]
    assert SESSION in refused.json["error"]


def _events(agent: Agent, *, terminal: bool) -> None:
    agent.tasks.add(7, generation=3, state=Task.COMPLETED if terminal else Task.WORKING)
    agent.tasks.events = [
        Event(task="tasks/7", generation=1, kind=Event.STATE_CHANGED, state=Task.WORKING),
        Event(task="tasks/7", generation=2, kind=Event.OUTPUT, state=Task.WORKING, output='[NaN,\n"\\ud800"]'),
        Event(task="tasks/7", generation=3, kind=Event.STATE_CHANGED, state=Task.COMPLETED, result="[1]"),
    ]


async def test_events_are_server_sent_and_numbered(agent: Agent, open_door: Open) -> None:
    """Each event is one server-sent event with its generation as the id; the stream ends with the last."""
    _events(agent, terminal=False)
    client = await open_door()

    answer = await client.get("/tasks/7/events")

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.body.decode().split("\n\n") == [
        'id: 1\ndata: {"task": "tasks/7", "generation": "1", "kind": "STATE_CHANGED", "state": "WORKING"}',
        'id: 2\ndata: {"task": "tasks/7", "generation": "2", "kind": "OUTPUT", "state": "WORKING", '
        '"output": ["NaN", "\\ud800"]}',
        'id: 3\ndata: {"task": "tasks/7", "generation": "3", "kind": "STATE_CHANGED", "state": "COMPLETED", '
        '"result": [1]}',
        "",
    ]


async def test_head_of_events_has_no_body(agent: Agent, open_door: Open) -> None:
    """HEAD answers the headers of a stream at once."""
    agent.tasks.add(7)
    agent.tasks.hold_watch.clear()
    client = await open_door()

    answer = await client.ask("HEAD", "/tasks/7/events")

    assert (answer.status, answer.body) == (200, b"")


async def test_events_resume_where_they_were_left(agent: Agent, open_door: Open) -> None:
    """Last-Event-ID, which wins, and ?after= leave out what was seen; after the terminal event there is nothing."""
    _events(agent, terminal=True)
    client = await open_door()

    by_header = await client.ask("GET", "/tasks/7/events?after=0", headers={"Last-Event-ID": "2"})
    by_query = await client.get("/tasks/7/events?after=2")
    nothing = await client.get("/tasks/7/events?after=3")

    assert by_header.body == by_query.body
    assert by_header.body.startswith(b"id: 3\n")
    assert (nothing.status, nothing.body) == (204, b"")


async def test_a_silent_watch_has_comments_and_ends_with_its_client(agent: Agent, open_door: Open) -> None:
    """Silence is filled with comments; when the client leaves the watch of the task manager ends."""
    agent.tasks.add(7)
    agent.tasks.hold_watch.clear()
    client = await open_door(rules=InvocationRules(keepalive=0.01))

    async with client.session.get(f"{client.url}/tasks/7/events") as response:
        first = await response.content.readuntil(b"\n\n")
        response.close()
    async with asyncio.timeout(10):
        await agent.tasks.watch_ended.wait()

    assert first == b": keepalive\n\n"


async def test_a_watch_that_is_broken_off_says_how_to_go_on(agent: Agent, open_door: Open) -> None:
    """When the task manager goes away within a watch, the stream ends with a comment and not with an error."""
    _events(agent, terminal=False)
    agent.tasks.watch_failure = grpc.StatusCode.UNAVAILABLE
    client = await open_door()

    answer = await client.get("/tasks/7/events")

    assert answer.body.endswith(b": the task manager broke off; ask again with Last-Event-ID\n\n")


async def test_stopping_ends_watches_without_waiting(agent: Agent, open_door: Open) -> None:
    """A watch does not hold up the end of the agent."""
    agent.tasks.add(7)
    agent.tasks.hold_watch.clear()
    client = await open_door(rules=InvocationRules(keepalive=0.01))

    async with client.session.get(f"{client.url}/tasks/7/events") as response:
        await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(5):
            await client.door.stop(grace=60)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_the_trace_goes_on_to_the_task_manager(agent: Agent, open_door: Open) -> None:
    """The W3C context of the request is in the metadata of the calls that it leads to; a broken one is not."""
    agent.tasks.add(7)
    client = await open_door()
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await client.get("/tasks/7", traceparent=traceparent)
    await client.get("/tasks/7", traceparent="00-nonsense")

    assert [metadata.get("traceparent") for metadata in agent.tasks.metadata] == [traceparent, None]
