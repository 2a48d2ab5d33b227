"""Spans, as a collector receives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Launcher
from .span_receiver import SpanReceiver

SERVER = 2
ERROR = 2
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SESSION = "a-session-of-at-least-thirty-three-characters"


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    """Receive spans."""
    receiver = SpanReceiver()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])
def test_one_trace_for_an_invocation_and_its_tasks(launch: Launcher, receiver: SpanReceiver, apart: bool) -> None:
    """The SERVER span is the caller's child, each task's span is in its trace under the task's id, user spans below."""
    export = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    environment = dict(export)
    if apart:
        environment["OUTLAST_TASK_MANAGER"] = launch.task_manager(**export).ready()["address"]
    agent = launch.ready("spans.py", **environment)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": SESSION}

    answer = agent.invoke({}, headers)

    tasks = {}
    for task_id in answer.task_ids:
        record = agent.request("GET", f"/tasks/{task_id}/wait", headers=headers).json
        tasks[record["taskType"]] = record
    server = receiver.named("POST /invocations")
    assert (server.kind, server.trace_id, server.parent_id) == (SERVER, TRACE, CALLER)

    for name in ("research", "compute", "breaks"):
        span = receiver.named(f"async_task {name}")
        assert span.span_id == f"{int(tasks[name]['taskId']):016x}"
        assert (span.trace_id, span.parent_id) == (TRACE, server.span_id)
        assert span.attributes["session.id"] == SESSION
        assert [key for key in span.attributes if key.startswith("outlast.task.")]
    broken = receiver.named("async_task breaks")
    assert broken.status == ERROR
    assert broken.attributes["error.type"] == "ValueError"
    for task, name in (("research", "look it up"), ("compute", "compute it")):
        inside = receiver.named(name)
        assert (inside.trace_id, inside.parent_id) == (TRACE, f"{int(tasks[task]['taskId']):016x}")


def test_lines_carry_the_trace(launch: Launcher, receiver: SpanReceiver) -> None:
    """A task's lines name its trace, so that a log and a trace lead to each other."""
    agent = launch.ready("spans.py", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    agent.invoke({}, {"traceparent": f"00-{TRACE}-{CALLER}-01"})
    line = agent.wait_line(lambda line: str(line["message"]).startswith("Async task started: research"))
    assert line["traceId"] == TRACE
