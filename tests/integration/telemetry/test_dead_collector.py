"""A collector that is away, or accepts and never answers, costs spans and nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

PROGRAM = """
import sys, time
from outlast.telemetry import tracing
from outlast.telemetry.invocation_span import invocation_span
from outlast.telemetry.libraries import quiet_libraries
quiet_libraries()
assert tracing.set_up("agent")
for _ in range(5):
    with invocation_span({}) as span:
        span.set_status(200)
began = time.monotonic()
done = tracing.shutdown(0.5)
print(done, time.monotonic() - began)
"""


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, which has to end by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment | variables, capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("listens", [True, False])
def test_the_end_of_a_process_has_a_deadline(listens: bool) -> None:
    """Shutdown gives up in time with one line, and the process ends without waiting for the exporter either."""
    with socket.socket() as collector:
        collector.bind(("127.0.0.1", 0))
        if listens:
            collector.listen()
        began = time.monotonic()
        done = run(PROGRAM, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.getsockname()[1]}")

    assert done.returncode == 0
    finished, seconds = done.stdout.split()
    assert finished == "False"
    assert float(seconds) < 1.5
    assert time.monotonic() - began < 10
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    messages = [line["message"] for line in lines if line["logger"] == "outlast"]
    assert messages == ["Spans were left behind: the exporter did not finish in time"]
    assert not any("stackTrace" in line for line in lines)


def test_with_nothing_set_no_sdk_is_loaded() -> None:
    """A process without a variable of OpenTelemetry's does not pay for it."""
    program = """
import sys
import outlastd.task_manager.outbox
from outlast.telemetry import task_trace, tracing
from outlast.telemetry.invocation_span import invocation_span
assert not tracing.set_up("agent")
with invocation_span({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}) as span:
    assert span.trace_context.traceparent
task_trace.trace_context_for_new_task()
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    done = run(program)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "carrier-pigeon"}, "OTEL_TRACES_EXPORTER"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "telegraph"},
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
    ],
)
def test_what_is_not_there_is_refused_by_name(variables: dict[str, str], named: str) -> None:
    """A variable that asks for an exporter that does not exist is refused with its name."""
    program = """
from outlast.core.errors import StartRefused
from outlast.telemetry import tracing
try:
    tracing.set_up("agent")
except StartRefused as refused:
    print(refused)
"""
    done = run(program, **variables)

    assert done.stdout.startswith(f"{named}: ")
    assert len(done.stdout.splitlines()) == 1


def test_the_console_exporter_prints_the_task_and_the_invocation() -> None:
    """OTEL_TRACES_EXPORTER=console shows spans without any collector."""
    program = """
from outlast.telemetry import tracing
from outlast.telemetry.invocation_span import invocation_span
tracing.set_up("agent")
with invocation_span({}):
    pass
assert tracing.shutdown(5)
"""
    done = run(program, OTEL_TRACES_EXPORTER="console")

    assert '"name": "POST /invocations"' in done.stdout
