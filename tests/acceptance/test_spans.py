"""Spans, as a collector receives them: one for each sampled task, always (promise 8)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import datetime

import pytest

from .agent_process import until
from .conftest import Launcher
from .span_receiver import SpanReceiver

SERVER = 2
OK = 1
ERROR = 2
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
#: An outage of the collector begins.
OUTAGE = "spans cannot be exported; they wait in the outbox"
SESSION = "a-session-of-at-least-thirty-three-characters"
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    """Receive spans."""
    receiver = SpanReceiver()
    yield receiver
    receiver.close()


def exporting_to(address: str) -> dict[str, str]:
    """Return what has a process export to an address, the spans of invocations and of users soon."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50"}


def milliseconds(text: str) -> float:
    """Return a time of a record in seconds since 1970, to the millisecond."""
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000) // 1_000 / 1_000


@pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])
def test_one_trace_for_an_invocation_and_its_tasks(launch: Launcher, receiver: SpanReceiver, apart: bool) -> None:
    """The SERVER span is the caller's child, each task's span is in its trace under the task's id, user spans below."""
    export = exporting_to(receiver.address)
    environment = {**export, "OUTLAST_TRACE_URL": "http://jaeger.example/"}
    if apart:
        environment["OUTLAST_TASK_MANAGER"] = launch.task_manager(**export).ready()["address"]
    agent = launch.ready("spans.py", **environment)
    headers = {**HEADERS, SESSION_HEADER: SESSION}

    answer = agent.invoke({}, headers)

    assert answer.headers["x-outlast-trace-url"] == f"http://jaeger.example/trace/{TRACE}"
    tasks = {}
    for task_id in answer.task_ids:
        record = agent.request("GET", f"/tasks/{task_id}/wait", headers=headers).json
        tasks[record["taskType"]] = record
    server = receiver.named("POST /invocations")
    assert (server.kind, server.trace_id, server.parent_id) == (SERVER, TRACE, CALLER)

    for name in ("research", "compute", "breaks"):
        span, record = receiver.named(f"async_task {name}"), tasks[name]
        assert span.span_id == f"{int(record['taskId']):016x}"
        assert (span.trace_id, span.parent_id) == (TRACE, server.span_id)
        assert (span.began, span.ended) == (milliseconds(record["startTime"]), milliseconds(record["endTime"]))
        assert span.attributes["session.id"] == SESSION
        assert [key for key in span.attributes if key.startswith("outlast.task.")]
    broken = receiver.named("async_task breaks")
    assert broken.status == ERROR
    assert broken.attributes["error.type"] == "ValueError"
    for task, name in (("research", "look it up"), ("compute", "compute it")):
        inside = receiver.named(name)
        assert (inside.trace_id, inside.parent_id) == (TRACE, f"{int(tasks[task]['taskId']):016x}")

    another = "11111111111111111111111111111111"
    streamed = agent.invoke({"stream": True}, {**HEADERS, "traceparent": f"00-{another}-{CALLER}-01"})
    assert streamed.body.count(b"data: ") == 2
    of_stream = receiver.wait(lambda span: (span.trace_id, span.kind) == (another, SERVER), "the stream's span")
    late = receiver.wait(lambda span: (span.trace_id, span.name) == (another, "async_task research"), "its task's span")
    assert (late.parent_id, of_stream.parent_id) == (of_stream.span_id, CALLER)
    assert of_stream.began <= late.began <= of_stream.ended
    until(lambda: receiver.broken_rules(CALLER) == [], "a whole trace")
    assert not [span for _, span in receiver.exported if span.name.endswith(" started")], "none of them ran for long"


def test_lines_carry_the_trace(launch: Launcher, receiver: SpanReceiver) -> None:
    """A task's lines name its trace, so that a log and a trace lead to each other."""
    agent = launch.ready("spans.py", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    agent.invoke({}, HEADERS)
    line = agent.wait_line(lambda line: str(line["message"]).startswith("Async task started: research"))
    assert line["traceId"] == TRACE


def test_a_task_is_found_while_it_runs_and_after_its_process_was_killed(
    launch: Launcher, receiver: SpanReceiver
) -> None:
    """A span says that it runs; after SIGKILL whoever finds it lost exports its own, with the error; each once."""
    agent = launch.ready("spans.py", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    headers = {**HEADERS, SESSION_HEADER: SESSION}
    [task_id] = agent.invoke({"start": "endless"}, headers).task_ids
    server = receiver.named("POST /invocations")
    started = receiver.named("async_task endless started")
    assert receiver.broken_rules(CALLER) == [], "nothing is missing while it runs"
    agent.kill()

    agent = launch.ready("spans.py", **exporting_to(receiver.address))
    span = receiver.task(task_id)
    record = agent.request("GET", f"/tasks/{task_id}", headers=headers).json
    assert agent.stop() == 0

    assert (started.attributes["session.id"], started.attributes["outlast.task.id"]) == (SESSION, task_id)
    assert (started.trace_id, started.parent_id, started.began) == (TRACE, server.span_id, span.began)
    assert (span.name, span.status, span.parent_id) == ("async_task endless", ERROR, server.span_id)
    assert (span.began, span.ended) == (milliseconds(record["startTime"]), milliseconds(record["endTime"]))
    assert span.attributes["error.type"] == "WORKER_LOST"
    assert [receiver.times(found) for found in (server, started, span)] == [1, 1, 1]
    assert receiver.broken_rules(CALLER) == []


def test_a_collector_that_was_away_gets_the_span(launch: Launcher) -> None:
    """The collector is down when a task ends, and the process is killed: the next one exports what was left."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
    agent = launch.ready("spans.py", **exporting_to(f"http://127.0.0.1:{port}"))
    [task_id] = agent.invoke({"start": "research"}, HEADERS).task_ids
    assert agent.finished(task_id)["state"] == "COMPLETED"
    agent.wait_message(OUTAGE)
    agent.kill()

    receiver = SpanReceiver(port)
    try:
        agent = launch.ready("spans.py", **exporting_to(receiver.address))
        span = receiver.task(task_id)
        assert agent.stop() == 0
    finally:
        receiver.close()

    assert span.name == "async_task research"
    # The invocation's own span was lost with its process.
    assert receiver.broken_rules(span.parent_id) == []
    assert OUTAGE not in [line["message"] for line in agent.lines]


def test_two_replicas_export_a_span_once(launch: Launcher, receiver: SpanReceiver, postgres_url: str) -> None:
    """Whichever manager a worker is connected to: each task's span comes from one of the two."""
    launch.store = postgres_url
    export = exporting_to(receiver.address)
    managers = [launch.task_manager(**export) for _ in range(2)]
    agents = [launch.ready("spans.py", OUTLAST_TASK_MANAGER=m.ready()["address"], **export) for m in managers]
    task_ids = [task_id for _ in range(5) for agent in agents for task_id in agent.invoke({}, HEADERS).task_ids]
    spans = [receiver.task(task_id) for task_id in task_ids]
    for process in (*agents, *managers):
        assert process.stop() == 0

    assert len(task_ids) == 30
    assert [receiver.times(span) for span in spans] == [1] * 30
    assert receiver.broken_rules(CALLER) == []


@pytest.mark.parametrize("apart", [False, True], ids=["embedded", "apart"])
def test_each_attempt_has_a_span(launch: Launcher, receiver: SpanReceiver, apart: bool) -> None:
    """A task that needed three attempts is one span with three children, and what the user's code did lies in those."""
    export = exporting_to(receiver.address)
    manager = launch.task_manager(**export) if apart else None
    environment = {**export, "OUTLAST_TASK_MANAGER": manager.ready()["address"]} if manager else export
    agent = launch.ready("spans.py", **environment)
    [task_id] = agent.invoke({"start": "flaky"}, HEADERS).task_ids
    assert agent.finished(task_id)["attempt"] == 3
    for attempt in (1, 2):
        told = f"Async task will run again: flaky (ID: {task_id}, Attempt: {attempt} of 3, in 0.1s)"
        line = (manager or agent).wait_message(told)
        assert (line["errorType"], line["stateReason"], line["traceId"]) == ("OSError", "BACKOFF", TRACE)

    task = receiver.task(task_id)
    attempts = [receiver.named(f"attempt {number}") for number in (1, 2, 3)]
    tries = [receiver.named(f"try {number}") for number in (1, 2, 3)]
    until(lambda: receiver.broken_rules(CALLER) == [], "a whole trace")  # the invocation's span comes last
    assert [span.parent_id for span in attempts] == [task.span_id] * 3
    assert [span.parent_id for span in tries] == [span.span_id for span in attempts]
    for inside, around in zip(tries, attempts, strict=True):
        assert around.began <= inside.began <= inside.ended <= around.ended
    assert [span.status for span in (task, *attempts)] == [OK, ERROR, ERROR, OK]
    assert [span.attributes.get("error.type") for span in attempts] == ["OSError", "OSError", None]
