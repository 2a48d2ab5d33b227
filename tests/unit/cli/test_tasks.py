"""``outlast tasks list`` and ``get``: tables, JSON and refusals, of a task manager that answers what the test says."""

from __future__ import annotations

import json

import pytest

from .command import outlast
from .scripted import Scripted, a_task


async def test_a_list_is_a_table_that_can_be_searched(manager: Scripted) -> None:
    """Each task is one line with its whole id, state and duration, also where the output is no terminal."""
    manager.tasks = [a_task(4680601251139015056, session_id="s" * 60), a_task(2)]
    done = await outlast("tasks", "list", "--task-manager", manager.address)

    header, first, second = [line.split() for line in done.out.splitlines() if line.strip("─ ")]
    assert header == ["ID", "TYPE", "STATE", "AGENT", "SESSION", "CREATED", "DURATION"]
    assert first[:5] == ["4680601251139015056", "research", "COMPLETED", "planner", "s" * 60]
    assert (second[0], second[-1]) == ("2", "10.25s")


async def test_a_list_goes_over_pages_up_to_its_limit(manager: Scripted) -> None:
    """Five pages are one list; the limit and the filters reach the task manager."""
    manager.tasks = [a_task(number) for number in range(1, 10)]
    done = await outlast(
        *("tasks", "list", "--json", "--limit", "5", "--state", "working", "--state", "FAILED"),
        *("--session", "s-1", "--agent", "planner"),
        OUTLAST_TASK_MANAGER=manager.address,
    )

    assert [task["taskId"] for task in json.loads(done.out)["tasks"]] == ["1", "2", "3", "4", "5"]
    asked = manager.asked[0]
    assert (list(asked.states), asked.session_id, asked.agent) == ([2, 4], "s-1", "planner")
    assert [request.page_size for request in manager.asked] == [5, 3, 1]


async def test_no_tasks_are_said_to_be_none(manager: Scripted) -> None:
    """An empty table would be a riddle; an empty JSON list is none."""
    assert (await outlast("tasks", "list", "--task-manager", manager.address)).out == "no tasks\n"
    done = await outlast("tasks", "list", "--json", "--task-manager", manager.address)
    assert json.loads(done.out) == {"tasks": []}


async def test_a_task_for_programs_is_the_protos_json(manager: Scripted) -> None:
    """Names are lowerCamelCase, ids strings, states names; the result is the JSON value itself."""
    manager.tasks = [a_task(7)]
    done = await outlast("tasks", "get", "7", "--json", "--task-manager", manager.address)

    found = json.loads(done.out)
    assert (found["name"], found["taskId"], found["state"]) == ("tasks/7", "7", "COMPLETED")
    assert found["result"] == {"found": ["研究", 12345678901234567890]}
    assert found["endTime"] == "2026-01-12T13:44:48.250Z"


async def test_a_task_for_people_shows_its_result(manager: Scripted) -> None:
    """The id may be given as the resource name too."""
    manager.tasks = [a_task(7)]
    done = await outlast("tasks", "get", "tasks/7", "--task-manager", manager.address)

    assert done.code == 0
    assert "COMPLETED" in done.out
    assert "研究" in done.out


async def test_a_task_has_a_link_to_its_trace(manager: Scripted) -> None:
    """It is for people and, behind the record's own keys, for programs; an unsampled trace is nowhere."""
    manager.tasks = [a_task(7), a_task(8)]
    for task, flags in zip(manager.tasks, ("01", "00"), strict=True):
        task.trace_context.traceparent = f"00-{'a' * 32}-{'b' * 16}-{flags}"
    variables = {"OUTLAST_TASK_MANAGER": manager.address, "OUTLAST_TRACE_URL": "http://jaeger/"}
    link = f"http://jaeger/trace/{'a' * 32}"

    listed = json.loads((await outlast("tasks", "list", "--json", **variables)).out)["tasks"]
    assert [task.get("traceUrl") for task in listed] == [link, None]
    assert link in (await outlast("tasks", "get", "7", **variables)).out


async def test_an_output_that_is_not_utf_8_is_written_all_the_same(manager: Scripted) -> None:
    """JSON is escaped where the output cannot hold the text, or the text is none."""
    manager.tasks = [a_task(7, result='"\\ud800 研究"')]
    done = await outlast("tasks", "get", "7", "--json", "--task-manager", manager.address, PYTHONIOENCODING="ascii")

    assert json.loads(done.out)["result"] == "\ud800 研究"


@pytest.mark.parametrize("command", [("list",), ("get", "7")])
async def test_a_terminal_obeys_no_users_text(manager: Scripted, command: tuple[str, ...]) -> None:
    """Escapes, control characters and rich's own markup in names are text, and less."""
    evil = "\x1b[2J\x9b31m\u202eevil [red]x[/red]"
    manager.tasks = [a_task(7, task_type=evil, session_id=evil, state_reason=evil, agent=evil)]
    manager.tasks[0].error.message = evil
    manager.tasks[0].progress.message = evil
    done = await outlast("tasks", *command, "--task-manager", manager.address)

    assert done.code == 0
    assert "[2J31mevil [red]x[/red]" in done.out
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.out)


async def test_a_task_that_does_not_exist_is_one_line(manager: Scripted) -> None:
    """The message is the task manager's."""
    done = await outlast("tasks", "get", "8", "--task-manager", manager.address)

    assert (done.code, done.out, done.err) == (1, "", "outlast: tasks/8 does not exist\n")


async def test_a_token_opens_the_door(manager: Scripted) -> None:
    """Without the token the line says what to do; an option or a variable carries it."""
    manager.token = "s3cret"
    address = ("--task-manager", manager.address)

    refused = await outlast("tasks", "list", *address)
    assert (refused.code, refused.err) == (
        1,
        f"outlast: {manager.address} asks for another token: set OUTLAST_TOKEN or give --token\n",
    )
    assert (await outlast("tasks", "list", *address, "--token", "s3cret")).code == 0
    assert (await outlast("tasks", "list", *address, OUTLAST_TOKEN="s3cret")).code == 0


async def test_nobody_at_the_address_is_one_line() -> None:
    """The line names the address and what to do."""
    done = await outlast("tasks", "list", "--task-manager", "127.0.0.1:1")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("outlast: no task manager answers at 127.0.0.1:1: start one with `outlast run FILE`")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("get", "abc"), 1, "'abc' is no task's id"),
        (("list", "--task-manager", "bogus"), 1, "'bogus' is no address"),
        (("list", "--state", "done"), 2, "'done' is none of SUBMITTED, WORKING"),
    ],
)
async def test_what_cannot_be_asked_is_told_why(arguments: tuple[str, ...], code: int, told: str) -> None:
    """Nothing is sent, and the line says what would do."""
    done = await outlast("tasks", *arguments)

    assert done.code == code
    assert told in done.err
    assert "Traceback" not in done.err
