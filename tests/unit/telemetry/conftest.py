"""What the telemetry tests share: a task, and what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outlast.core.state import TaskState
from outlast.core.task import Task, TraceContext

Line = dict[str, Any]
STARTED = datetime(2026, 1, 12, 13, 44, 38, 1, tzinfo=UTC)
TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")


@pytest.fixture
def task() -> Task:
    """A task that a worker runs."""
    return Task(
        task_id=4680601251139015056,
        task_type="background_processing",
        agent="research",
        state=TaskState.WORKING,
        session_id="s-1",
        request_id="r-1",
        worker_id="w-1",
        attempt=1,
        trace_context=TRACE,
        created_at=STARTED,
        started_at=STARTED,
        ended_at=STARTED + timedelta(seconds=10.004),
    )


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[Line]]:
    """What has been written to standard error since the last call, line by line."""

    def read() -> list[Line]:
        return [json.loads(line) for line in capfd.readouterr().err.split("\n") if line]

    return read
