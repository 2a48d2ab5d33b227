"""Spans as a collector receives them: ids, parents, outcome, over a real socket."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

from outlast.context import Invocation, current_invocation
from outlast.core.operation import Start
from outlast.core.state import TaskState
from outlast.core.task import NO_TRACE, Task, TaskError, TraceContext
from outlast.telemetry import exporting, tracing
from outlast.telemetry.invocation_span import invocation_span
from outlast.telemetry.log import error_fields
from outlast.telemetry.propagation import attempt_span_id, parse_traceparent, span_id_of, trace_id_of
from outlast.telemetry.task_span import task_resource, task_spans
from outlast.telemetry.task_trace import task_scope, trace_context_for_new_task

from ...jaeger_rules import spans_in
from .collector import Collector

TRACE_ID, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"Traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-01"}
TASK_ID = 4680601251139015056


def tracked(trace_context: TraceContext, task_id: int = TASK_ID, *, attempt: int = 1, max_attempts: int = 1) -> Any:
    """Return a live task, as telemetry sees it."""
    start = Start("research", trace_context=trace_context, max_attempts=max_attempts)
    return SimpleNamespace(task_id=task_id, attempt=attempt, start=start)


def ended(trace_context: TraceContext, state: TaskState = TaskState.COMPLETED) -> Task:
    """Return a task that has ended."""
    now = datetime.now(UTC)
    return Task(
        task_id=TASK_ID,
        task_type="research",
        agent="agent",
        state=state,
        attempt=1,
        trace_context=trace_context,
        started_at=now - timedelta(seconds=1),
        ended_at=now,
    )


def begin_export(task: Task) -> Future[bool]:
    """Have the span of a task exported as the outbox does it; return whether it was taken, to come."""
    active = tracing.active()
    assert active is not None
    resource = task_resource(active.resource, active.service_of(task))
    return active.delivery.begin(lambda: task_spans(task, [], resource))


async def export(task: Task) -> None:
    """Have the span of a task exported; off the loop, which the collector needs."""
    assert await asyncio.wrap_future(begin_export(task))


async def switch_on() -> None:
    """Set tracing up as the environment says; off the loop, for it reads files."""
    assert await asyncio.to_thread(tracing.set_up, "agent")


async def flush() -> None:
    """Export what there is; off the loop, which the collector needs."""
    assert await asyncio.to_thread(tracing.shutdown, 10)


async def test_an_invocation_its_task_and_the_users_spans_are_one_trace(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caller, SERVER span, a span in the handler, task, and a span in the task: each is a child of the one before."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    await switch_on()
    user = trace.get_tracer("user")

    with invocation_span(HEADERS, session_id="s-1", request_id="r-1") as invocation:

        def handler() -> TraceContext:
            invocation.make_current()
            with user.start_as_current_span("in the handler"):
                return trace_context_for_new_task()

        start = contextvars.copy_context().run(handler)
        invocation.set_status(200)
    with task_scope(tracked(start)), user.start_as_current_span("in the task"):
        pass
    await export(ended(start))
    await flush()

    server, handler_span = collector.span("POST /invocations"), collector.span("in the handler")
    task, in_task = collector.span("async_task research"), collector.span("in the task")
    assert {TRACE_ID} == {span.trace_id.hex() for _, span in collector.received}
    assert [
        CALLER_SPAN,
        server.span_id.hex(),
        handler_span.span_id.hex(),
        task.span_id.hex(),
    ] == [span.parent_span_id.hex() for span in (server, handler_span, task, in_task)]
    assert task.span_id.hex() == span_id_of(TASK_ID)
    assert {"agent"} == {service for service, _ in collector.received}
    attributes = {item.key: item.value for item in server.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert attributes["session.id"].string_value == "s-1"
    assert (server.kind, task.kind) == (server.SPAN_KIND_SERVER, task.SPAN_KIND_INTERNAL)


async def test_spans_of_a_task_on_another_thread_are_its_children(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that runs on a thread, without any context of the request, has the task as its current span."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    await switch_on()
    start = trace_context_for_new_task()

    def body() -> None:
        with task_scope(tracked(start)), trace.get_tracer("user").start_as_current_span("on a thread"):
            pass

    thread = threading.Thread(target=body)
    thread.start()
    await asyncio.to_thread(thread.join)
    await export(ended(start))
    await flush()

    assert collector.span("on a thread").parent_span_id == collector.span("async_task research").span_id
    assert collector.span("async_task research").parent_span_id == b""


async def test_a_failed_invocation_is_an_error(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 500 is an error with what was raised, even where that cannot say its message; a 400 is the caller's."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    await switch_on()
    for path, code, error in (("/500", 500, error_fields(Mute())), ("/400", 400, None)):
        with invocation_span({}, path=path) as invocation:
            invocation.set_status(code, error)
    await flush()

    failed, refused = collector.span("POST /500"), collector.span("POST /400")
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "Mute" in {item.value.string_value for item in failed.attributes if item.key == "error.type"}
    assert refused.status.code == Status.STATUS_CODE_UNSET


async def test_spans_go_over_http_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf posts to /v1/traces."""
    requests: list[ExportTraceServiceRequest] = []

    async def receive(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", receive)
    async with TestServer(app) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        await switch_on()
        with invocation_span({}) as invocation:
            pass
        await export(ended(invocation.trace_context))
        await flush()

    names = {span.name for request in requests for _, span in spans_in(request)}
    assert names == {"POST /invocations", "async_task research"}


async def test_a_failed_task_is_an_error(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector sees the status, the message and the error's type."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    await switch_on()
    task = ended(trace_context_for_new_task(), TaskState.FAILED)
    await export(replace(task, error=TaskError(2, "no such topic", "KeyError")))
    await flush()

    span = collector.span("async_task research")
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "no such topic")
    assert "KeyError" in {item.value.string_value for item in span.attributes if item.key == "error.type"}


async def test_what_is_not_sampled_is_not_exported(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's decision holds for the invocation, its task and the user's spans in it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    await switch_on()
    with invocation_span({"traceparent": f"00-{TRACE_ID}-{CALLER_SPAN}-00"}) as invocation:
        start = invocation.trace_context
    with task_scope(tracked(start)), trace.get_tracer("user").start_as_current_span("in the task"):
        pass
    await export(ended(start))
    await flush()

    assert trace_id_of(start) == TRACE_ID
    assert collector.received == []


async def test_the_sampler_of_the_environment_decides_on_new_traces(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With OTEL_TRACES_SAMPLER=always_off a task outside of any trace gets one that is not sampled."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    await switch_on()

    parsed = parse_traceparent(trace_context_for_new_task().traceparent)
    assert parsed is not None
    assert (parsed.root, parsed.sampled) == (True, False)


async def test_the_environments_service_name_wins(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SERVICE_NAME is the service of every span, the task's too."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    await switch_on()
    with invocation_span({}) as invocation:
        pass
    await export(ended(invocation.trace_context))
    await flush()

    assert [service for service, _ in collector.received] == ["named", "named"]


async def test_a_second_start_in_one_process(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """It exports as the first did: a provider of ours that is left from that is not taken for the program's."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    for _ in range(2):
        await switch_on()
        with invocation_span({}) as invocation:
            pass
        await export(ended(invocation.trace_context))
        await flush()

    assert sorted(span.name for _, span in collector.received) == [
        *["POST /invocations"] * 2,
        *["async_task research"] * 2,
    ]


def test_with_nothing_set_a_trace_is_passed_on_and_nothing_else() -> None:
    """Tracing stays off; a task belongs to the trace that the request brought, and to none without one."""
    assert not tracing.set_up("agent")

    with invocation_span(HEADERS, session_id="s") as invocation:
        invocation.set_status(500, error_fields(ValueError()))
        invocation.make_current()
        assert invocation.trace_context == TraceContext(HEADERS["Traceparent"])
    assert trace_context_for_new_task() == NO_TRACE
    token = current_invocation.set(Invocation("r", trace_context=invocation.trace_context))
    try:
        assert trace_context_for_new_task() == invocation.trace_context
    finally:
        current_invocation.reset(token)
    with task_scope(tracked(invocation.trace_context)):
        assert not trace.get_current_span().get_span_context().is_valid
    assert tracing.shutdown(0)


@pytest.mark.parametrize(
    "variables", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}]
)
def test_tracing_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """An endpoint alone switches tracing on; the two variables that say no win over it."""
    for name, value in {**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)

    assert not tracing.set_up("agent")


@pytest.mark.parametrize("given", [None, "700"])
def test_spans_leave_soon(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    """What waits is lost with a process that is killed: 0.2 s and not the SDK's 5, unless the environment says."""
    delays: list[float | None] = []

    class Noted(BatchSpanProcessor):
        def __init__(self, exporter: Any, schedule_delay_millis: float | None = None) -> None:
            delays.append(schedule_delay_millis)
            super().__init__(exporter, schedule_delay_millis=schedule_delay_millis)

    monkeypatch.setattr(exporting, "BatchSpanProcessor", Noted)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    if given is not None:
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", given)
    exporting.make_provider("agent").shutdown()

    assert delays == [200.0 if given is None else None]


def test_a_provider_of_the_programs_own_is_used() -> None:
    """A program that has set up tracing itself gets our spans where it gets its own, and keeps its provider."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    assert tracing.set_up("agent")
    with invocation_span({}) as invocation:
        pass
    assert begin_export(ended(invocation.trace_context)).result(10)
    assert tracing.shutdown(5)
    with trace.get_tracer("user").start_as_current_span("afterwards"):
        pass

    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["POST /invocations", "async_task research", "afterwards"]


def test_a_span_processor_that_blocks_blocks_no_loop() -> None:
    """A processor of the program's own may take as long as it likes: spans wait for it on a thread of ours."""
    release = threading.Event()
    exporter = InMemorySpanExporter()

    class Slow(SimpleSpanProcessor):
        def on_end(self, span: Any) -> None:
            assert release.wait(10)
            super().on_end(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Slow(exporter))
    trace.set_tracer_provider(provider)
    tracing.set_up("agent")
    with invocation_span({}) as invocation:
        pass
    taken = begin_export(ended(invocation.trace_context))

    assert exporter.get_finished_spans() == ()
    assert not taken.done()
    release.set()
    assert taken.result(10)
    assert tracing.shutdown(10)
    assert len(exporter.get_finished_spans()) == 2


def test_a_sampler_that_fails_stops_no_task() -> None:
    """A task starts without a trace when the program's own sampler raises."""

    class Failing(Sampler):
        def should_sample(self, *_arguments: Any, **_more: Any) -> SamplingResult:
            raise RuntimeError("out of dice")

        def get_description(self) -> str:
            return "failing"

    trace.set_tracer_provider(TracerProvider(sampler=Failing(), shutdown_on_exit=False))
    tracing.set_up("agent")

    assert trace_context_for_new_task() == NO_TRACE


class TestTaskScope:
    """The current span while a task's body runs, wherever it is left."""

    @pytest.fixture(autouse=True)
    def provider(self) -> None:
        """Tracing on, with nothing exported."""
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
        tracing.set_up("agent")

    @pytest.fixture(autouse=True)
    def no_noise(self, caplog: pytest.LogCaptureFixture) -> Any:
        """OpenTelemetry logs no "Failed to detach context"."""
        yield
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    def test_the_outer_span_is_back_afterwards(self) -> None:
        """A direct call inside a user's span leaves that span the current one."""
        with trace.get_tracer("user").start_as_current_span("outer") as outer:
            with task_scope(tracked(trace_context_for_new_task())):
                assert trace.get_current_span().get_span_context().span_id == TASK_ID
            assert trace.get_current_span() is outer

    @pytest.mark.parametrize(("max_attempts", "expected"), [(1, TASK_ID), (3, attempt_span_id(TASK_ID, 2))])
    def test_with_attempts_the_attempts_span_is_the_current_one(self, max_attempts: int, expected: int) -> None:
        """What a body that may run again begins belongs to its attempt, and is sampled as the task is."""
        live = tracked(trace_context_for_new_task(), attempt=2, max_attempts=max_attempts)
        with task_scope(live):
            current = trace.get_current_span().get_span_context()

        assert (current.span_id, current.trace_flags.sampled) == (expected, True)

    def test_a_task_started_in_a_task_is_its_child(self) -> None:
        """The parent of an inner task's span is the outer task's."""
        with task_scope(tracked(trace_context_for_new_task())):
            inner = parse_traceparent(trace_context_for_new_task().traceparent)

        assert inner is not None
        assert inner.parent_id == TASK_ID

    async def test_tasks_beside_each_other_do_not_mix(self) -> None:
        """Two bodies that take turns on one loop see each their own span across awaits."""
        turn = asyncio.Event()

        async def body(task_id: int) -> set[int]:
            seen = set()
            with task_scope(tracked(trace_context_for_new_task(), task_id)):
                for _ in range(3):
                    seen.add(trace.get_current_span().get_span_context().span_id)
                    turn.set()
                    await asyncio.sleep(0)
            return seen

        assert tuple(await asyncio.gather(body(11), body(12))) == ({11}, {12})
        assert not trace.get_current_span().get_span_context().is_valid

    async def test_a_body_may_be_closed_in_another_context(self) -> None:
        """A coroutine that is closed by somebody else, or collected, leaves that one's current span alone."""

        async def body() -> None:
            with task_scope(tracked(trace_context_for_new_task())):
                await asyncio.Event().wait()

        def begun() -> Coroutine[Any, Any, None]:
            coroutine = body()
            contextvars.copy_context().run(coroutine.send, None)
            return coroutine

        with trace.get_tracer("user").start_as_current_span("somebody else's") as current:
            begun().close()
            assert trace.get_current_span() is current
            coroutine: Any = begun()
            thread = threading.Thread(target=coroutine.close)
            thread.start()
            thread.join()
            coroutine = begun()
            del coroutine
            gc.collect()
            assert trace.get_current_span() is current
