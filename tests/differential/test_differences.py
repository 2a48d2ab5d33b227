"""The differences that are there on purpose, each seen on both sides (docs/compatibility.md says why).

Those that belong to one subject only are in its file: their docstrings begin with "A difference".
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .exchange import Asked, exchange, get, post
from .pair import Pair


@pytest.fixture(scope="module")
def tasks(serve: Callable[..., Pair]) -> Pair:
    """Serve tasks."""
    return serve("tracked.py")


def test_a_failed_task(serve: Callable[..., Pair]) -> None:
    """A task that raises is told as failed; the original tells it as failed and then as completed."""
    pair = serve("unlucky.py")
    original, ours = pair.see(post({}))
    ended = pair.ours.process.wait_line(lambda line: "Async task failed: fails (ID: " in line["message"], "its end")

    assert original.answer.body == ours.answer.body == b'{"error":"no paper"}'
    assert [line["message"].split(" (ID")[0] for line in original.lines if "completed" in line["message"]] == [
        "Async task completed: fails"
    ]
    assert (ended["level"], ended["errorType"], ended["errorMessage"]) == ("ERROR", "ValueError", "no paper")
    assert not [line for line in ours.lines if "completed: fails" in line["message"]]


def test_a_plain_function_as_a_task(tasks: Pair) -> None:
    """The decorator takes a ``def``; the original refuses it."""
    original, ours = tasks.see(post({"do": "decorate def"}))

    assert original.answer.json == {"error": "@async_task can only be applied to async functions"}
    assert ours.answer.json == "info"


def test_the_ids_of_tasks(tasks: Pair) -> None:
    """An answer names the tasks that its invocation started, and they can be asked for; the original forgets them."""
    original, ours = tasks.see(post({"do": "call", "value": 1}))
    task_id = ours.answer.header("x-outlast-task-ids")

    assert original.answer.header("x-outlast-task-ids") is None
    assert exchange(tasks.original.address, get(f"/tasks/{task_id}")).status == 404
    told = exchange(tasks.ours.address, get(f"/tasks/{task_id}/wait"))
    assert (told.json["state"], told.json["result"]) == ("COMPLETED", 2)


def test_a_lambda_around_a_coroutine(serve: Callable[..., Pair]) -> None:
    """A coroutine that a plain function returns is awaited; the original answers with its ``str()``."""
    pair = serve("kinds.py")
    pair.same(get("/ping"))
    pair.same(post({"kind": "lambda_of_coroutine"}))

    original, ours = pair.see(post({"a": 1}))

    assert original.answer.json.startswith("<coroutine object coroutine at 0x")
    assert ours.answer.json == {"payload": {"a": 1}}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin(serve: Callable[..., Pair], method: str) -> None:
    """A web page of whatever site cannot drive the agent of whoever reads it."""
    target = "/ping" if method == "GET" else "/invocations"
    original, ours = serve("echo.py").see(Asked(method, target, (("Origin", "https://evil.example"),), b"{}"))

    assert original.answer.status == 200
    assert ours.answer.status == 403


def test_the_time_of_the_last_update(serve: Callable[..., Pair]) -> None:
    """It is the second of the change and not of the question: the first ping leaves the start's."""
    pair = serve("tracked.py")
    before = exchange(pair.ours.address, get("/ping")).json["time_of_last_update"]
    again = exchange(pair.ours.address, get("/ping")).json["time_of_last_update"]

    assert before == again
