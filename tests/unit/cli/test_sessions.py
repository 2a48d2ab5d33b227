"""``outlast sessions``: tables, JSON and refusals, of a session host that answers what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web

from .command import Done
from .command import outlast as run
from .session_host import ID, ScriptedHost, a_session


@pytest.fixture
async def host() -> AsyncIterator[ScriptedHost]:
    """A session host on a free port."""
    scripted = ScriptedHost()
    await scripted.start()
    yield scripted
    await scripted.stop()


async def outlast(host: ScriptedHost, *arguments: str, **variables: Any) -> Done:
    """Run ``outlast sessions ARGUMENTS`` against a session host."""
    return await run("sessions", *arguments, OUTLAST_SESSION_HOST=host.url, **variables)


async def test_a_list_is_a_table_that_can_be_searched(host: ScriptedHost) -> None:
    """Each session is one line with its whole id, state and times, also where the output is no terminal."""
    host.sessions = [
        a_session("s" * 100, state="ACTIVE", idleSeconds=None),
        a_session(state="STOPPED", endReason="IDLE_TIMEOUT", ageSeconds=None),
    ]

    done = await outlast(host, "list")

    header, first, second = [line.split() for line in done.out.splitlines() if line.strip("─ ")]
    assert header == ["AGENT", "ID", "STATE", "TASKS", "RUN", "AGE", "IDLE", "CREATED"]
    assert first[:6] == ["planner", "s" * 100, "ACTIVE", "2", "3", "0:12:34"]
    assert second[:7] == ["planner", ID, "STOPPED", "(IDLE_TIMEOUT)", "2", "3", "12.50s"]


async def test_a_list_goes_over_pages_up_to_its_limit(host: ScriptedHost) -> None:
    """Several pages are one list; the limit and the filters reach the session host."""
    host.sessions = [a_session(f"{number:033}", state="ACTIVE" if number % 2 else "IDLE") for number in range(20)]

    states = ("--state", "active", "--state", "IDLE")
    done = await outlast(host, "list", "--json", "--limit", "5", "--agent", "planner", *states)

    assert [int(session["sessionId"]) for session in json.loads(done.out)["sessions"]] == [0, 1, 2, 3, 4]
    assert host.asked == [
        "GET /sessions?agent=planner&state=ACTIVE&state=IDLE&pageSize=5",
        "GET /sessions?agent=planner&state=ACTIVE&state=IDLE&pageToken=3&pageSize=2",
    ]


async def test_no_sessions_are_said_to_be_none(host: ScriptedHost) -> None:
    """An empty table would be a riddle; an empty JSON list is none."""
    assert (await outlast(host, "list")).out == "no sessions\n"
    assert json.loads((await outlast(host, "list", "--json")).out) == {"sessions": []}


@pytest.mark.parametrize(
    "named", [(f"planner/{ID}",), (f"sessions/planner/{ID}",), (ID, "--agent", "planner"), (ID,)], ids=" ".join
)
async def test_a_session_is_found_by_its_names(host: ScriptedHost, named: Sequence[str]) -> None:
    """AGENT/ID, the resource name, and the id alone, with and without the agent, name a session."""
    host.sessions = [a_session(f"{number:033}") for number in range(10)] + [a_session()]

    done = await outlast(host, "get", *named, "--json")

    assert json.loads(done.out) == host.sessions[-1]
    assert host.asked[-1] == f"GET /sessions/planner/{ID}"


async def test_a_session_for_people_shows_its_tasks(host: ScriptedHost) -> None:
    """What is known is a line a field; its tasks are a line each."""
    tasks = [{"taskId": "7", "taskType": "research", "state": "WORKING"}, {"taskId": "6", "state": "COMPLETED"}]
    host.sessions = [a_session(busy=True, inFlight=2, user="ann", pid=4711, tasks=tasks)]

    lines = (await outlast(host, "get", ID)).out.splitlines()

    fields = [tuple(part.strip() for part in line.split("  ", 1)) for line in lines]
    for field in [("state", "IDLE"), ("busy", "yes"), ("in flight", "2"), ("user", "ann"), ("process", "4711")]:
        assert field in fields
    assert [value.split() for name, value in fields if name == "task"] == [
        ["7", "research", "WORKING"],
        ["6", "COMPLETED"],
    ]
    assert not {"ended", "why", "ready", "principal"} & {name for name, _ in fields}


async def test_an_id_of_several_agents_is_ambiguous(host: ScriptedHost) -> None:
    """The line names the agents, and what would do."""
    host.sessions = [a_session(), a_session(agent="writer")]

    done = await outlast(host, "stop", ID)

    assert (done.code, done.out) == (1, "")
    assert done.err == f"outlast: ID: {ID} is a session of planner and of writer: say with --agent\n"
    assert not any(asked.startswith("POST") for asked in host.asked)


async def test_stop(host: ScriptedHost) -> None:
    """Each session that runs is stopped; what does not is told, a line each, and is exit code 1."""
    ended, starting, unknown = "e" * 33, "b" * 33, "u" * 33
    host.sessions = [
        a_session(),
        a_session(ended, state="STOPPED", endReason="MAX_LIFETIME"),
        a_session(starting, state="STARTING"),
        a_session(agent="writer"),
    ]

    done = await outlast(host, "stop", unknown, ended, starting, ID, "--agent", "planner")

    assert done.code == 1
    assert done.out == f"sessions/planner/{ID} is STOPPED\n"
    assert done.err.splitlines() == [
        f"outlast: sessions/planner/{unknown} does not exist",
        f"outlast: sessions/planner/{ended} has ended before (MAX_LIFETIME)",
        "outlast: Session operation in progress, please retry",
    ]
    assert [session["state"] for session in host.sessions] == ["STOPPED", "STOPPED", "STARTING", "IDLE"]
    assert (await outlast(host, "stop", f"writer/{ID}")).code == 0


@pytest.mark.parametrize("command", ["get", "stop"])
async def test_an_unknown_session_is_one_line(host: ScriptedHost, command: str) -> None:
    """An id that no session has is told, whether its agent was named or not."""
    named = await outlast(host, command, f"planner/{ID}")
    alone = await outlast(host, command, ID)

    assert (named.code, named.out, named.err) == (1, "", f"outlast: sessions/planner/{ID} does not exist\n")
    assert (alone.code, alone.out, alone.err) == (1, "", f"outlast: a session {ID} does not exist\n")


async def test_an_id_is_no_path(host: ScriptedHost) -> None:
    """What stands in an id reaches the session host as it is, and as one segment."""
    odd = "..%2f?#é\u202e"
    host.sessions = [a_session(odd)]

    assert json.loads((await outlast(host, "get", odd, "--agent", "planner", "--json")).out)["sessionId"] == odd
    assert host.asked == ["GET /sessions/planner/..%252f%3F%23%C3%A9%E2%80%AE"]


@pytest.mark.parametrize("command", [("list",), ("get", f"planner/{ID}")], ids=" ".join)
async def test_a_terminal_obeys_no_users_text(host: ScriptedHost, command: Sequence[str]) -> None:
    """Escapes, control characters and rich's own markup are text, and less; values of other kinds are shown as well."""
    evil = "\x1b[2J\x9b31m\u202eevil [red]x[/red]"
    task = {"taskId": evil, "taskType": evil, "state": evil}
    fields: dict[str, Any] = {
        "state": evil,
        "endReason": evil,
        "endMessage": evil,
        "user": evil,
        "host": evil,
        "tasks": [task, 7],
    }
    host.sessions = [a_session(**fields, activeTasks=evil, run=[evil], ageSeconds=evil, createTime=7)]

    done = await outlast(host, *command)

    assert (done.code, done.err) == (0, "")
    assert "[2J31mevil [red]x[/red]" in done.out
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.out)


async def test_a_token_opens_the_door(host: ScriptedHost) -> None:
    """Without the token the line says what to do; an option wins over a variable."""
    host.token = "s3cret"

    refused = await outlast(host, "list")
    assert (refused.code, refused.err) == (1, f"outlast: {host.url} refuses: set OUTLAST_TOKEN or give --token\n")
    wrong = await outlast(host, "list", OUTLAST_TOKEN="other")
    assert (wrong.code, wrong.err) == (
        1,
        f"outlast: {host.url} refuses: set another OUTLAST_TOKEN or give another --token\n",
    )
    assert (await outlast(host, "list", "--token", "s3cret", OUTLAST_TOKEN="other")).code == 0
    assert (await outlast(host, "list", OUTLAST_TOKEN="s3cret")).code == 0
    odd = await outlast(host, "list", "--token", "line\nbreak")
    assert odd.code == 1
    assert odd.err.startswith("outlast: OUTLAST_TOKEN: ")


async def test_nobody_at_the_address_is_one_line() -> None:
    """The line names the address and what to do."""
    done = await run("sessions", "list", "--host", "127.0.0.1:1")

    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "outlast: no session host answers at 127.0.0.1:1 (Connection refused): "
        "start one with `outlast host`, or name another with --host\n"
    )


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=302, headers={"Location": "/elsewhere"}),
        web.Response(text="<html>hello</html>"),
        web.Response(text="[1, 2]"),
        web.Response(text="{}"),
        web.Response(text='{"sessions": [7]}'),
        web.Response(status=502, text="Bad Gateway"),
        web.Response(body=b"\xff"),
    ],
    ids=["redirect", "page", "array", "object", "numbers", "gateway", "bytes"],
)
async def test_somebody_else_at_the_address_is_one_line(host: ScriptedHost, answer: web.Response) -> None:
    """What is no session host is told so; neither a redirect nor nonsense is followed."""
    host.answer = answer

    done = await outlast(host, "list")

    assert (done.code, done.out) == (1, "")
    assert done.err == f"outlast: what answers at {host.url} is no session host: name one with --host\n"
    assert len(host.asked) == 1


async def test_what_a_host_refuses_is_its_own_message(host: ScriptedHost) -> None:
    """A failure of the session host is told in its words."""
    host.answer = web.json_response({"message": "the store is out of reach"}, status=503)

    done = await outlast(host, "list")

    assert (done.code, done.err) == (1, "outlast: the store is out of reach\n")


async def test_no_http() -> None:
    """A server that speaks something else, or hangs up, is no session host."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        done = await run("sessions", "list", "--host", f"127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert done.code == 1
    assert "is no session host" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("list", "--state", "done"), 2, "'done' is none of STARTING, ACTIVE, IDLE, STOPPING, STOPPED"),
        (("list", "--limit", "0"), 2, "--limit"),
        (("list", "--host", "ftp://example.com"), 1, "is no URL of a session host"),
        (("list", "--host", "http://ann:secret@example.com"), 1, "is no URL of a session host"),
        (("list", "--host", "http://example.com:99999"), 1, "is no URL of a session host"),
        (("list", "--host", "http://[::1"), 1, "is no URL of a session host"),
        (("get", ""), 1, "is no session"),
        (("get", "/x"), 1, "is no session"),
        (("get", "a/b/c"), 1, "is no session"),
        (("get", "planner/x", "--agent", "writer"), 1, "is not of the agent 'writer'"),
        (("stop",), 2, "Missing argument"),
    ],
)
async def test_what_cannot_be_asked_is_told_why(arguments: Sequence[str], code: int, told: str) -> None:
    """Nothing is sent, and the line says what would do."""
    done = await run("sessions", *arguments)

    assert done.code == code
    assert told in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert "secret" not in done.err


async def test_the_help_names_variables_and_examples() -> None:
    """The help of each command shows its options uncut, and examples."""
    for command in ("list", "get", "stop"):
        done = await run("sessions", command, "--help")

        assert "[OUTLAST_SESSION_HOST]" in done.out
        assert "[OUTLAST_TOKEN, OUTLAST_TOKEN_FILE]" in " ".join(done.out.split())
        assert f"outlast sessions {command} " in done.out
