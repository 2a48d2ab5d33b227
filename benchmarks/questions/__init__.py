"""The questions, in the order in which they are asked and shown."""

from __future__ import annotations

#: Modules of this package. Each has ``ask(bench: Bench) -> list[Row]``, and its docstring's first line is the question.
NAMES = (
    "invocations",
    "committed_tasks",
    "ping_latency",
    "lifecycles",
    "create_task",
    "watchers",
    "tasks_at_work",
    "finished_tasks",
    "cold_start",
    "start",
)
