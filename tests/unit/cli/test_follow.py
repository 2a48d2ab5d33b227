"""``outlast tasks wait`` and ``watch``: what they show, how they end, and what they live through."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb

from .command import ended, environment, outlast, start
from .scripted import Scripted, a_life, a_task

Task = task_pb2.Task


@pytest.mark.parametrize(
    ("state", "code"), [(Task.COMPLETED, 0), (Task.FAILED, 1), (Task.CANCELED, 1), (Task.REJECTED, 1)]
)
async def test_wait_ends_as_the_task_does(manager: Scripted, state: task_pb2.Task.State.ValueType, code: int) -> None:
    """It waits for the end, shows the task, and its exit code says how it ended."""
    task = a_task(7, state=Task.WORKING)
    manager.tasks = [task]
    waiting = await start("tasks", "wait", "7", "--json", "--task-manager", manager.address)
    await manager.until_asked(pb.WaitTaskRequest)
    await manager.end(task, state)
    done = await ended(waiting)

    assert (done.code, done.err) == (code, "")
    assert json.loads(done.out)["state"] == task_pb2.Task.State.Name(state)


async def test_wait_gives_up_in_time(manager: Scripted) -> None:
    """A task that goes on longer than --timeout is told of, with an exit code of its own."""
    manager.tasks = [a_task(7, state=Task.WORKING)]
    done = await outlast("tasks", "wait", "7", "--timeout", "0.1s", "--task-manager", manager.address)

    assert (done.code, done.out, done.err) == (124, "", "outlast: tasks/7 is still WORKING after 0.1s\n")


async def test_wait_outlives_the_task_manager(manager: Scripted) -> None:
    """A task manager that goes away and comes back is waited for; that is said once."""
    task = a_task(7, state=Task.WORKING)
    manager.tasks = [task]
    waiting = await start("tasks", "wait", "7", "--task-manager", manager.address)
    await manager.until_asked(pb.WaitTaskRequest)
    await manager.stop()
    task.state = Task.COMPLETED
    await manager.start()
    done = await ended(waiting)

    assert done.code == 0
    assert "COMPLETED" in done.out
    assert done.err == f"outlast: the task manager at {manager.address} does not answer: waiting for it\n"


@pytest.mark.parametrize("command", [("wait", "8"), ("watch", "8")])
async def test_what_nobody_knows_has_a_code_of_its_own(manager: Scripted, command: tuple[str, ...]) -> None:
    """A task that does not exist is no task that failed."""
    done = await outlast("tasks", *command, "--task-manager", manager.address)

    assert (done.code, done.out, done.err) == (3, "", "outlast: tasks/8 does not exist\n")


@pytest.mark.parametrize("command", [("wait", "7"), ("watch", "7"), ("watch", "--session", "s-1")])
async def test_nobody_at_the_address_is_told_at_once(command: tuple[str, ...]) -> None:
    """Only a task manager that was there is waited for."""
    done = await outlast("tasks", *command, "--task-manager", "127.0.0.1:1,127.0.0.1:2")

    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("outlast: no task manager answers at 127.0.0.1:1, 127.0.0.1:2: start one")


async def test_watch_tells_all_that_happens(manager: Scripted) -> None:
    """In a pipe each event is a line, or a few; over a break of the watch each comes once."""
    manager.tasks, manager.events, manager.break_before = [a_task(7)], a_life(), 5
    done = await outlast("tasks", "watch", "tasks/7", "--task-manager", manager.address, TZ="UTC")

    assert done.out.splitlines() == [
        "2026-01-12 13:44:31  WORKING",
        "2026-01-12 13:44:32  progress 50% half way",
        "2026-01-12 13:44:33  SUBMITTED (BACKOFF): no luck",
        "2026-01-12 13:44:34  WORKING, attempt 2",
        "2026-01-12 13:44:35  output Bees",
        '2026-01-12 13:44:35  output {"n": 1}',
        "2026-01-12 13:44:36  somebody asked to cancel it",
        "2026-01-12 13:44:37  COMPLETED after 3.00s",
        '2026-01-12 13:44:37  result {"n": 1}',
    ]
    told = f"outlast: the task manager at {manager.address} does not answer: going on behind generation 4\n"
    assert (done.code, done.err) == (0, told)


async def test_watch_goes_on_at_the_next_replica(manager: Scripted) -> None:
    """When the replica that is watched goes away the next one is asked for the rest, and the one after it."""
    other = Scripted()
    await other.start()
    manager.tasks, manager.events, manager.break_before = [a_task(7)], a_life(), 3
    other.events, other.break_before = a_life(), 5
    addresses = f"{manager.address},{other.address}"
    done = await outlast("tasks", "watch", "7", "--json", "--task-manager", addresses)
    await other.stop()

    assert [json.loads(line)["generation"] for line in done.out.splitlines()] == list("1234567")
    asked = [request for request in manager.asked + other.asked if isinstance(request, pb.WatchTaskRequest)]
    assert [request.after_generation for request in asked] == [0, 4, 2]
    assert (done.code, len(done.err.splitlines())) == (0, 2)


async def test_watch_goes_on_behind_what_was_seen(manager: Scripted) -> None:
    """--after leaves events out; --json is one object a line, with values for JSON text; a failed task is code 1."""
    manager.tasks, manager.events = [a_task(7)], a_life()
    manager.events[-1].state = Task.FAILED
    done = await outlast("tasks", "watch", "7", "--after", "4", "--json", "--task-manager", manager.address)

    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["generation"] for event in events] == ["5", "6", "7"]
    assert events[0]["output"] == ["Be", "es\n", {"n": 1}]
    assert done.code == 1


async def test_watch_of_what_was_seen_to_its_end(manager: Scripted) -> None:
    """With nothing left to show the exit code still says how the task ended."""
    manager.tasks = [a_task(7, state=Task.CANCELED)]
    done = await outlast("tasks", "watch", "7", "--after", "7", "--task-manager", manager.address)

    assert (done.code, done.out, done.err) == (1, "", "")


async def test_watch_of_a_session_names_tasks_and_cursors(manager: Scripted) -> None:
    """Events of all its tasks come until Ctrl-C; each JSON line has the cursor that goes on behind it."""
    manager.events, manager.hold, manager.break_before = a_life(), True, 7
    arguments = ("tasks", "watch", "--session", "s-1", "--task-manager", manager.address)
    watching = await start(*arguments, "--json", "--after", "c5")
    assert watching.stdout is not None
    lines = [json.loads(await asyncio.wait_for(watching.stdout.readline(), 30)) for _ in range(2)]
    watching.send_signal(signal.SIGINT)
    done = await ended(watching)

    assert [(line["task"], line["generation"], line["cursor"]) for line in lines] == [
        ("tasks/7", "6", "c6"),
        ("tasks/7", "7", "c7"),
    ]
    asked = [request for request in manager.asked if isinstance(request, pb.WatchSessionRequest)]
    assert [(request.session_id, request.cursor) for request in asked] == [("s-1", "c5"), ("s-1", "c6")]
    assert done.code == 130
    assert done.err.splitlines()[1:] == ["outlast: stopped; its tasks go on"]


@pytest.mark.parametrize("command", ["wait", "watch"])
async def test_ctrl_c_ends_the_command_and_not_the_task(manager: Scripted, command: str) -> None:
    """One line says that the task goes on; the exit code is the shell's for Ctrl-C."""
    manager.tasks, manager.hold = [a_task(7, state=Task.WORKING)], True
    following = await start("tasks", command, "7", "--task-manager", manager.address)
    await manager.until_asked(pb.WaitTaskRequest if command == "wait" else pb.WatchTaskRequest)
    following.send_signal(signal.SIGINT)
    done = await ended(following)

    assert (done.code, done.out, done.err) == (130, "", "outlast: stopped; the task goes on\n")


async def test_a_terminal_has_a_bar(manager: Scripted) -> None:
    """Progress is a bar that is gone at the end; what else happens stands as lines above."""
    manager.tasks, manager.events = [a_task(7)], a_life()
    manager.events[1].progress.message = "\x1b[2Jhalf [red]way"
    manager.hold_before, loop = 3, asyncio.get_running_loop()

    def in_terminal() -> tuple[int, str]:
        terminal, inner = os.openpty()
        command = [sys.executable, "-m", "outlast.cli", "tasks", "watch", "7", "--task-manager", manager.address]
        variables = environment() | {"TERM": "xterm", "COLUMNS": "120"}
        with subprocess.Popen(command, env=variables, stdout=inner, stderr=inner) as process:
            os.close(inner)
            shown = b""
            while True:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                shown += piece
                if b"50%" in shown:
                    loop.call_soon_threadsafe(manager.go_on.set)
            os.close(terminal)
        return process.returncode, shown.decode()

    code, shown = await asyncio.to_thread(in_terminal)

    assert code == 0
    assert "━" in shown
    assert "50%" in shown
    assert "[2Jhalf [red]way" in shown
    assert "\x1b[2Jhalf" not in shown
    assert "WORKING, attempt 2" in shown
    assert 'result {"n": 1}' in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("watch",), "name one task, or one session"),
        (("watch", "7", "--session", "s"), "name one task, or one session"),
        (("watch", "7", "--after", "x"), "is no generation"),
        (("wait", "7", "--timeout", "soon"), "'soon' is no duration"),
    ],
)
async def test_what_cannot_be_meant_is_exit_code_2(arguments: tuple[str, ...], told: str) -> None:
    """A wrong use is told before anybody is asked."""
    done = await outlast("tasks", *arguments)

    assert (done.code, done.out) == (2, "")
    assert told in done.err
