"""Every line says what it was written for: request, session, task, and the span that was current."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from outlast import App
from outlast.context import Invocation, current_invocation
from outlast.core.task import TraceContext
from outlast.telemetry import lines, log
from outlast.telemetry.correlation import current_ids, work_for
from outlast.telemetry.propagation import span_id_of

Written = Callable[[], list[dict[str, Any]]]
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACE = TraceContext(f"00-{TRACE_ID}-{SPAN_ID}-01")


@pytest.fixture
def invocation() -> Iterator[None]:
    """Run the test as the handler of an invocation."""
    token = current_invocation.set(Invocation("r-1", "s-1", TRACE))
    yield
    current_invocation.reset(token)


def test_outside_of_everything_there_are_no_ids() -> None:
    """Code that works for nobody has no ids."""
    assert current_ids() == {}


def test_the_process_of_one_session_names_it_everywhere() -> None:
    """Also where code works for nobody: on a thread that the program starts, while it is imported."""
    work_for("s-0")
    try:
        assert current_ids() == {"sessionId": "s-0"}
    finally:
        work_for("")
    assert current_ids() == {}


@pytest.mark.usefixtures("invocation")
def test_an_invocations_ids() -> None:
    """In a handler they are those of the request, and of the span that it came with."""
    assert list(current_ids().items()) == [
        ("requestId", "r-1"),
        ("sessionId", "s-1"),
        ("traceId", TRACE_ID),
        ("spanId", SPAN_ID),
    ]


@pytest.mark.usefixtures("invocation")
async def test_a_tasks_ids() -> None:
    """In a task's body, on its own thread too and in what it awaits, the task's are among them."""
    app = App()

    @app.async_task
    def on_a_thread() -> dict[str, str]:
        return current_ids()

    @app.async_task
    async def on_a_loop() -> dict[str, str]:
        return await asyncio.to_thread(current_ids)

    for function in (on_a_thread, on_a_loop):
        task = function.start()
        expected = {"requestId": "r-1", "sessionId": "s-1", "taskId": str(task.task_id), "traceId": TRACE_ID}
        assert list((await task).items()) == [*expected.items(), ("spanId", span_id_of(task.task_id))]
    with app.task("by hand") as block:
        assert current_ids()["taskId"] == str(block.task_id)
    assert "taskId" not in current_ids()


@pytest.mark.usefixtures("invocation")
def test_the_current_span_wins(written: Written) -> None:
    """A span that the program has begun is that of its lines, of ours and of the contract's."""
    own = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))

    def write() -> None:
        with use_span(NonRecordingSpan(own)):
            log.get_logger().info("ours", detail=1)
            lines.write("INFO", "the contract's", detail=1)

    copy_context().run(write)

    for line in written():
        assert (line["traceId"], line["spanId"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
        assert list(line)[4:] == ["requestId", "sessionId", "traceId", "spanId", "detail"]


@pytest.mark.usefixtures("invocation")
def test_a_field_of_the_line_wins(written: Written) -> None:
    """A line that is about something else than its code works for says so."""
    log.get_logger().info("about another", requestId="r-2")

    assert [line["requestId"] for line in written()] == ["r-2"]


def test_nobody_loads_opentelemetry_for_a_line() -> None:
    """With tracing off a line costs no import."""
    program = """
import sys
from outlast.telemetry import log
log.get_logger().info("hello")
assert not {name for name in sys.modules if name.startswith("opentelemetry")}
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, stderr=subprocess.DEVNULL)
