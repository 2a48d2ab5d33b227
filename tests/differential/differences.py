"""Every difference between the original and outlast that the comparisons look away from, each with its reason.

What is not named here is the same, byte for byte. Differences in what happens, rather than in what is looked at, have
tests of their own: in test_differences.py, and where they belong to one subject in its file ("A difference: ...").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .exchange import Answer

#: Said by the server and not by the agent: how the message is framed, and by whom.
_SERVERS_OWN = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})
#: Additions of ours that a program for the original neither sets nor reads: the ids of the tasks that were started, and
#: the word to proxies that a stream is not to be gathered.
_ADDED = frozenset({"x-accel-buffering", "x-outlast-task-count", "x-outlast-task-ids"})
#: What is compared of a log line; keys beyond the documents' may follow (design: section 5), and a stack trace names
#: the files of whoever writes it.
_COMPARED = ("level", "message", "logger", "requestId", "sessionId", "errorType", "errorMessage")

#: How long something took, and when it was: nobody takes the same time twice.
_DURATION = re.compile(r"\d+\.\d{2,3}s\)")
_SECOND = re.compile(rb'(?<="time_of_last_update":)\d+')
#: A task's id: the original's is a hash, ours also says when it was made (design: section 4, task ids).
_TASK_ID = re.compile(r"\(ID: -?\d+")
#: The line that a task has ended is the task manager's: it comes after the commit, so later than the original's, and
#: names the request that started the task (design: section 5, log lines). Compared on its own.
_ENDED = re.compile(r"Async task completed: .* \(ID: ")
#: Values are written as JSON where the handler ran, and so before its own line; the original does it after.
_UNSERIALIZED = re.compile(r"Failed to serialize object: ")
#: A comment keeps a silent stream alive (issue 3, server-sent events); clients pass over it.
_COMMENT = re.compile(rb"(?m)^:[^\n]*\n\n")


def answer_without(answer: Answer) -> Answer:
    """Return what of an answer has to be the same."""
    headers = [(name, _in_order(name, value)) for name, value in answer.headers if name not in _SERVERS_OWN | _ADDED]
    body = _SECOND.sub(b"0", answer.body)
    if (answer.header("content-type") or "").startswith("text/event-stream"):
        body = _COMMENT.sub(b"", body)
    return Answer(answer.status, tuple(sorted(headers)), body, answer.whole)


def lines_without(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what of log lines has to be the same; the lines of ended tasks are left out."""
    told = [line for line in lines if not _ENDED.match(line["message"])]
    told.sort(key=lambda line: _UNSERIALIZED.match(line["message"]) is not None)
    return [{key: _text_without(line[key]) for key in _COMPARED if key in line} for line in told]


def endings(lines: Iterable[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the lines of ended tasks: level and message."""
    return [(line["level"], _text_without(line["message"])) for line in lines if _ENDED.match(line["message"])]


def _in_order(name: str, value: str) -> str:
    """Sort the methods of an ``Allow``: the original keeps them in a set, whose order is another in each process."""
    return ", ".join(sorted(value.split(", "))) if name == "allow" else value


def _text_without(text: str) -> str:
    # A lone surrogate, which UTF-8 cannot say, is in our lines as the text of its escape.
    speakable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _TASK_ID.sub("(ID: 0", _DURATION.sub("0s)", speakable))
