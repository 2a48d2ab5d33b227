"""The contract's lines, to the letter (design.md section 5)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from outlast.context import Invocation, current_invocation
from outlast.core.event import Change, EventKind, TaskEvent
from outlast.core.operation import Finish, Start
from outlast.core.state import StateReason, TaskState
from outlast.core.task import NO_TRACE, Task, TaskError, TraceContext
from outlast.telemetry import lines, log

from .conftest import STARTED

Written = Callable[[], list[dict[str, Any]]]
TASK_KEYS = ["timestamp", "level", "message", "logger", "requestId", "sessionId", "taskId", "traceId", "spanId"]


class Tracked:
    """A live task, as telemetry sees it."""

    task_id = 123
    attempt = 1
    start = Start("research", session_id="s-2", request_id="r-2")
    finish: Finish | None = None


def test_a_started_task_is_the_documents_line(task: Task, written: Written) -> None:
    """A start has the documents' message, level and logger, and the documents' keys first, in their order."""
    lines.task_started(task)

    [line] = written()
    assert list(line) == TASK_KEYS
    assert line["message"] == "Async task started: background_processing (ID: 4680601251139015056)"
    assert (line["level"], line["logger"]) == ("INFO", "bedrock_agentcore.app")
    assert (line["requestId"], line["sessionId"], line["taskId"]) == ("r-1", "s-1", "4680601251139015056")
    assert (line["traceId"], line["spanId"]) == ("0af7651916cd43dd8448eb211c80319c", "40f4d609fd63d190")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])


def test_what_is_not_known_has_no_key(task: Task, written: Written) -> None:
    """A task without request, session and trace has none of their keys."""
    lines.task_started(replace(task, request_id="", session_id="", trace_context=NO_TRACE))

    [line] = written()
    assert list(line) == ["timestamp", "level", "message", "logger", "taskId"]


def test_a_later_attempt_is_started_in_the_same_words(task: Task, written: Written) -> None:
    """Only a field tells which attempt it is, and only from the second on."""
    lines.task_started(replace(task, attempt=2, max_attempts=3))

    [line] = written()
    assert line["message"] == "Async task started: background_processing (ID: 4680601251139015056)"
    assert list(line) == [*TASK_KEYS, "attempt"]
    assert line["attempt"] == 2


@pytest.mark.parametrize(
    ("reason", "wait", "told"),
    [
        (StateReason.BACKOFF, 2, "2.0s"),
        (StateReason.WORKER_LOST, 1.26, "1.3s"),
        (StateReason.WORKER_SHUTDOWN, 0, "0.0s"),
    ],
)
def test_a_task_that_runs_again_says_when_and_why(
    task: Task, written: Written, reason: str, wait: float, told: str
) -> None:
    """An attempt that failed, was lost or was given back at a shutdown: one wording, what went wrong, the reason."""
    waits = replace(
        task, state=TaskState.SUBMITTED, attempt=1, max_attempts=3, next_attempt_at=STARTED + timedelta(seconds=wait)
    )
    error = TaskError(2, "no such topic", "KeyError")
    event = TaskEvent(
        task.task_id, 3, EventKind.STATE_CHANGED, STARTED, TaskState.SUBMITTED, reason, attempt=1, error=error
    )
    lines.task_runs_again(Change(waits, event))

    [line] = written()
    ids = f"ID: 4680601251139015056, Attempt: 1 of 3, in {told}"
    assert line["message"] == f"Async task will run again: background_processing ({ids})"
    assert list(line) == [*TASK_KEYS, "errorType", "errorMessage", "stateReason"]
    assert (line["level"], line["logger"]) == ("WARNING", "bedrock_agentcore.app")
    assert (line["errorType"], line["errorMessage"], line["stateReason"]) == ("KeyError", "no such topic", reason)


@pytest.mark.parametrize(
    ("state", "reason", "message", "level"),
    [
        (TaskState.COMPLETED, "", "completed", "INFO"),
        (TaskState.FAILED, "", "failed", "ERROR"),
        (TaskState.FAILED, StateReason.RESULT_REFUSED, "failed", "ERROR"),
        (TaskState.FAILED, StateReason.WORKER_LOST, "lost", "ERROR"),
        (TaskState.FAILED, StateReason.WORKER_SHUTDOWN, "lost", "ERROR"),
        (TaskState.FAILED, StateReason.DEADLINE, "failed", "ERROR"),
        (TaskState.FAILED, StateReason.QUEUE_TIMEOUT, "failed", "ERROR"),
        (TaskState.CANCELED, StateReason.CANCEL_REQUESTED, "canceled", "WARNING"),
        (TaskState.CANCELED, StateReason.CANCEL_FORCED, "canceled", "WARNING"),
        (TaskState.CANCELED, StateReason.SELF, "canceled", "WARNING"),
        (TaskState.REJECTED, "", "rejected", "WARNING"),
    ],
)
def test_an_ended_task_is_never_called_what_it_is_not(
    task: Task, written: Written, state: TaskState, reason: str, message: str, level: str
) -> None:
    """Only COMPLETED is logged as completed (promise 10); the duration has two places."""
    lines.task_ended(replace(task, state=state, state_reason=reason))

    [line] = written()
    assert f"Async task {message}: background_processing (ID: 4680601251139015056, Duration: 10.00s)" == line["message"]
    assert level == line["level"]


def test_a_failed_tasks_error_follows_the_ids(task: Task, written: Written) -> None:
    """The error's type and message come behind the ids."""
    lines.task_ended(replace(task, state=TaskState.FAILED, error=TaskError(2, "no such topic", "KeyError")))

    [line] = written()
    assert [*TASK_KEYS, "errorType", "errorMessage"] == list(line)
    assert (line["errorType"], line["errorMessage"]) == ("KeyError", "no such topic")


def test_a_function_that_returned_is_the_documents_line(written: Written) -> None:
    """The runtime's line has three places and no id in its message."""
    lines.function_ended(Tracked(), TaskState.COMPLETED, 10.0023)()

    [line] = written()
    assert line["message"] == "Async task completed: research (10.002s)"
    assert list(line) == ["timestamp", "level", "message", "logger", "requestId", "sessionId", "taskId"]


def test_a_function_that_raised_says_where(written: Written) -> None:
    """A failure is an ERROR with the contract's four error fields (contract 4.3)."""
    try:
        raise KeyError("topic")
    except KeyError as error:
        write = lines.function_ended(Tracked(), TaskState.FAILED, 0.0011, error)
    write()

    [line] = written()
    assert (line["level"], line["message"]) == ("ERROR", "Async task failed: research (0.001s)")
    assert list(line)[7:] == ["errorType", "errorMessage", "stackTrace", "location"]
    assert (line["errorType"], line["errorMessage"]) == ("KeyError", "'topic'")
    assert line["stackTrace"][-1] == "KeyError: 'topic'\n"
    assert re.fullmatch(r".*test_lines\.py:test_a_function_that_raised_says_where:\d+", line["location"])


def test_a_canceled_function_is_called_canceled(written: Written) -> None:
    """A cancel is no failure and has no stack trace."""
    lines.function_ended(Tracked(), TaskState.CANCELED, 1, asyncio.CancelledError())()

    [line] = written()
    assert (line["level"], line["message"]) == ("WARNING", "Async task canceled: research (1.000s)")
    assert "stackTrace" not in line


def test_a_function_whose_result_was_refused_has_not_completed(written: Written) -> None:
    """What the task became counts, not that the function returned."""
    lines.function_ended(Tracked(), TaskState.FAILED, 1)()

    [line] = written()
    assert line["message"] == "Async task failed: research (1.000s)"


def test_an_invocation_is_the_documents_line(written: Written) -> None:
    """The front door's line has three places, and the invocation's ids."""
    trace = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    lines.invocation_completed(3.6314, Invocation("r-3", "s-3", trace))

    [line] = written()
    assert line["message"] == "Invocation completed successfully (3.631s)"
    assert list(line)[4:] == ["requestId", "sessionId", "traceId", "spanId"]
    assert line["spanId"] == "b7ad6b7169203331"


def test_a_line_takes_the_ids_of_the_invocation_it_is_written_in(written: Written) -> None:
    """Code that knows no invocation writes the ids of the current one."""
    token = current_invocation.set(Invocation("r-4"))
    try:
        lines.write("WARNING", "Something happened", detail=1)
    finally:
        current_invocation.reset(token)

    [line] = written()
    assert list(line) == ["timestamp", "level", "message", "logger", "requestId", "detail"]


def test_the_logger_can_be_renamed(written: Written) -> None:
    """OUTLAST_LOGGER_NAME renames the logger of the contract's lines, and of no others."""
    log.configure(logger_name="my.agent")
    try:
        lines.write("INFO", "Hello")
        log.get_logger().info("hello")
    finally:
        log.configure(logger_name=log.CONTRACT_LOGGER_NAME)

    assert [line["logger"] for line in written()] == ["my.agent", "outlast"]


def test_what_is_below_the_level_is_not_written(written: Written) -> None:
    """DEBUG lines appear with the level DEBUG only."""
    log.get_logger().debug("one")
    log.configure(level="DEBUG")
    try:
        log.get_logger().debug("two")
    finally:
        log.configure(level="INFO")

    assert [line["message"] for line in written()] == ["two"]
