"""The contract's log lines, as the documents show them: what is compared and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .agent_process import Agent, Line, OutlastProcess

LOGGER = "bedrock_agentcore.app"
INVOCATION = r"Invocation completed successfully \(\d+\.\d{3}s\)"
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: The keys of the documents, and those that may follow, each in this order.
_FIRST = ["timestamp", "level", "message", "logger"]
_THEN = ["requestId", "sessionId", "taskId", "traceId", "spanId"]


def started(name: str, task_id: str = r"\d+") -> str:
    """Match the line that a task has started."""
    return rf"Async task started: {re.escape(name)} \(ID: {task_id}\)"


def returned(name: str) -> str:
    """Match the runtime's line that a decorated function has returned."""
    return rf"Async task completed: {re.escape(name)} \(\d+\.\d{{3}}s\)"


def ended(name: str, task_id: str = r"\d+", how: str = "completed") -> str:
    """Match the line that a task has ended."""
    return rf"Async task {how}: {re.escape(name)} \(ID: {task_id}, Duration: \d+\.\d\ds\)"


def contract_lines(agent: OutlastProcess) -> list[Line]:
    """Return the lines so far that are the contract's."""
    return [line for line in list(agent.lines) if line.get("logger") == LOGGER]


def wait_for(agent: Agent, pattern: str) -> Line:
    """Return the first line whose whole message matches, as soon as it is there."""
    return agent.wait_line(lambda line: re.fullmatch(pattern, str(line.get("message"))) is not None, pattern)


def check(agent: Agent, patterns: Sequence[str], *, level: str = "INFO") -> list[Line]:
    """Wait for the last line, then prove that these lines and no others were written, in this order and shape."""
    assert patterns
    for pattern in patterns:
        wait_for(agent, pattern)
    lines = contract_lines(agent)
    messages = [str(line["message"]) for line in lines]
    assert len(messages) == len(patterns), messages
    for message, pattern in zip(messages, patterns, strict=True):
        assert re.fullmatch(pattern, message), f"{message!r} is not {pattern!r}; all: {messages}"
    for line in lines:
        check_shape(line, level)
    return lines


def check_shape(line: Line, level: str = "INFO") -> None:
    """Prove that a line has the documents' keys first and in their order, and the others in theirs."""
    keys = list(line)
    assert keys[:4] == _FIRST
    assert [key for key in keys[4:] if key in _THEN] == [key for key in _THEN if key in keys]
    assert _TIMESTAMP.fullmatch(line["timestamp"])
    assert line["level"] == level
    assert line["logger"] == LOGGER
