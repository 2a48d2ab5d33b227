"""``/tasks``: shapes, errors and who may ask."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import grpc
import pytest
from google.rpc import status_pb2

from outlast.core.errors import BacklogFull, IllegalTransition, InvalidField, StoreUnavailable
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
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
        ("/tasks/events", "session"),
        ("POST /tasks/7/cancel?force=perhaps", "force"),
        ("POST /tasks/7/cancel?grace=-1", "grace"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(agent: Agent, open_door: Open, path: str, field: str) -> None:
    """What a parameter cannot be is refused with its name."""
    agent.tasks.add(7)
    client = await open_door()
    method, _, path = path.rpartition(" ")

    answer = await client.ask(method or "GET", path)

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


async def test_the_task_manager_says_when_to_come_again(agent: Agent, open_door: Open) -> None:
    """The delay of its RetryInfo, rounded up to whole seconds, is the Retry-After."""
    agent.tasks.failure = BacklogFull("too much waits")
    agent.tasks.retry_seconds = 4.2
    client = await open_door()

    answer = await client.ask("POST", "/tasks/7/retry")

    assert (answer.status, answer.headers["Retry-After"]) == (429, "5")
    assert answer.json == {"error": "too much waits", "code": "RESOURCE_EXHAUSTED"}


async def test_a_cancel_may_be_forced(agent: Agent, open_door: Open) -> None:
    """``force`` and ``grace`` reach the task manager; neither is sent where nobody asks."""
    agent.tasks.add(7)
    client = await open_door()

    for query in ("", "?force", "?force=false", "?force=true&grace=1.5"):
        assert (await client.ask("POST", f"/tasks/7/cancel{query}")).status == 200
    asked = [request for request in agent.tasks.asked if isinstance(request, pb.CancelTaskRequest)]

    assert [request.force for request in asked] == [False, True, False, True]
    assert [request.HasField("grace") for request in asked] == [False, False, False, True]
    assert asked[-1].grace.ToMilliseconds() == 1500


async def test_a_retry_answers_the_new_task(agent: Agent, open_door: Open) -> None:
    """The key of the request is the task manager's idempotency key."""
    agent.tasks.add(7, state=Task.FAILED)
    client = await open_door()

    answer = await client.ask("POST", "/tasks/7/retry", headers={"Idempotency-Key": "once"})

    assert (answer.status, answer.json["taskId"], answer.json["state"]) == (200, "8", "SUBMITTED")
    assert answer.json["labels"] == {"outlast.retry_of": "7"}
    assert agent.tasks.asked[-1].idempotency_key == "once"


async def test_a_sessions_idempotency_keys_are_its_own(agent: Agent, open_door: Open) -> None:
    """The same key of two sessions is two keys for the task manager, and each is the same again."""
    client = await open_door()
    for task_id, session_id in ((7, "one"), (8, "other"), (7, "one")):
        agent.tasks.add(task_id, state=Task.FAILED, session_id=session_id)
        headers = {"Idempotency-Key": "once", SESSION: session_id}
        assert (await client.ask("POST", f"/tasks/{task_id}/retry", headers=headers)).status == 200

    one, other, again = (each.idempotency_key for each in agent.tasks.asked if isinstance(each, pb.RetryTaskRequest))
    assert one == again
    assert len({one, other, "once"}) == 3


async def test_a_deleted_task_is_gone(agent: Agent, open_door: Open) -> None:
    """The answer is 204 without a body, and the second one 404."""
    agent.tasks.add(7, state=Task.COMPLETED)
    client = await open_door()

    first = await client.ask("DELETE", "/tasks/7")
    second = await client.ask("DELETE", "/tasks/7")

    assert (first.status, first.body, second.status) == (204, b"", 404)


async def test_a_wait_outlives_the_task_manager(agent: Agent, open_door: Open) -> None:
    """A task manager that goes away while somebody waits is asked again."""
    agent.tasks.add(7, state=Task.COMPLETED)
    agent.tasks.wait_failures = [grpc.StatusCode.UNAVAILABLE] * 2
    client = await open_door()

    answer = await client.get("/tasks/7/wait?timeout=30")

    assert (answer.status, answer.json["state"]) == (200, "COMPLETED")


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
    actions = (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("GET", "/wait"),
        ("GET", "/events"),
    )
    theirs = [await status(method, f"/tasks/{task_id}{action}") for task_id in (8, 9) for method, action in actions]
    listed = await client.ask("GET", "/tasks", headers={SESSION: "mine"})
    other = await client.ask("GET", "/tasks?session=theirs", headers={SESSION: "mine"})

    assert mine == [200] * 3
    assert theirs == [404] * 12
    assert set(agent.tasks.tasks) == {"tasks/7", "tasks/8", "tasks/9"}
    assert await status("GET", "/tasks/events?session=theirs") == 404
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


async def test_a_watch_goes_on_where_it_was_broken_off(agent: Agent, open_door: Open) -> None:
    """The task manager may go away within a watch, again and again: each event comes once, and the stream ends well."""
    _events(agent, terminal=False)
    events, agent.tasks.events = agent.tasks.events, agent.tasks.events[:1]
    agent.tasks.watch_failures = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED]
    agent.tasks.hold_watch.clear()
    client = await open_door(rules=InvocationRules(keepalive=0.01))

    async with client.session.get(f"{client.url}/tasks/7/events") as response:
        while b"id: 1" not in await response.content.readuntil(b"\n\n"):
            pass
        agent.tasks.events = events
        agent.tasks.hold_watch.set()
        rest = await response.content.read()

    ids = [line for line in rest.splitlines() if line.startswith(b"id: ")]
    assert ids == [b"id: 2", b"id: 3"]
    asked = [request for request in agent.tasks.asked if isinstance(request, pb.WatchTaskRequest)]
    assert [request.after_generation for request in asked] == [0, 1, 3, 3]


async def test_a_watch_of_what_is_deleted_ends(agent: Agent, open_door: Open) -> None:
    """What the task manager refuses for good is not asked again; the reason is a comment."""
    agent.tasks.add(7)
    agent.tasks.watch_failures = [grpc.StatusCode.NOT_FOUND]
    client = await open_door()

    answer = await client.get("/tasks/7/events")

    assert answer.body.startswith(b": ")
    assert b"so the script says" in answer.body


async def test_all_events_of_a_session_come_with_their_cursors(agent: Agent, open_door: Open) -> None:
    """The ids are the cursors, of this agent's tasks; Last-Event-ID and ?after= go on behind one, over a break too."""
    _events(agent, terminal=False)
    agent.tasks.cursors = ["c-1", "c-2", "c-3"]
    agent.tasks.watch_failures = [grpc.StatusCode.UNAVAILABLE]
    client = await open_door()

    whole = await client.get("/tasks/events?session=s-1")
    rest = await client.ask("GET", "/tasks/events?after=c-1", headers={SESSION: "s-1", "Last-Event-ID": "c-2"})
    by_query = await client.get("/tasks/events?session=s-1&after=c-2")
    asked = [request for request in agent.tasks.asked if isinstance(request, pb.WatchSessionRequest)]

    assert [line for line in whole.body.splitlines() if line.startswith(b"id: ")] == [
        b"id: c-1",
        b"id: c-2",
        b"id: c-3",
    ]
    assert rest.body == by_query.body
    assert rest.body.startswith(b'id: c-3\ndata: {"task": "tasks/7", "generation": "3", ')
    assert {(request.session_id, request.agent) for request in asked} == {("s-1", "agent")}
    assert [request.cursor for request in asked] == ["", "c-3", "c-2", "c-2"]


async def test_a_cursor_that_is_none_is_400(agent: Agent, open_door: Open) -> None:
    """What the task manager refuses at once is a status and no stream."""
    client = await open_door()

    answer = await client.get("/tasks/events?session=s-1&after=nonsense")

    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT")


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
