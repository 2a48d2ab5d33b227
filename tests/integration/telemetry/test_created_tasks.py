"""Tasks that come by gRPC: each has a span, whether or not its caller has a trace."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest

from outlast.core.policy import DEFAULT_POLICY
from outlast.telemetry import tracing
from outlast.telemetry.propagation import parse_traceparent
from outlast.v1.task_service_pb2 import CancelTaskRequest, CreateTaskRequest, RetryTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlastd.stores.sqlite import SQLiteTaskStore
from outlastd.task_manager.outbox import SpanOutbox
from outlastd.task_manager.server import ServerSettings, TaskManagerServer

from ...jaeger_rules import broken_rules
from .collector import Collector

CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-0af7651916cd43dd8448eb211c80319c-{CALLER}-01"


async def test_a_created_task_begins_a_trace_where_its_caller_has_none(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One of a caller with a trace is in that one; one without, and a retry, are each the root of a trace."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
    assert await asyncio.to_thread(tracing.set_up, "agent")
    store = await SQLiteTaskStore.open(tmp_path / "tasks.db", replace(DEFAULT_POLICY, spans=True))
    server = TaskManagerServer(store, ServerSettings(listen="127.0.0.1:0", agent="agent"), outbox=SpanOutbox(store))
    bound = await server.start()
    async with grpc.aio.insecure_channel(bound.public) as channel:
        tasks = TaskServiceStub(channel)
        create = CreateTaskRequest(task_type="research", input="{}")
        called = await tasks.CreateTask(create, metadata=[("traceparent", TRACEPARENT)])
        alone = await tasks.CreateTask(create)
        await tasks.CancelTask(CancelTaskRequest(name=called.name))
        await tasks.CancelTask(CancelTaskRequest(name=alone.name))
        again = await tasks.RetryTask(RetryTaskRequest(name=alone.name))
        await tasks.CancelTask(CancelTaskRequest(name=again.name))
        await collector.wait_spans(3)
    await server.stop(0)
    await store.close()

    spans = {int.from_bytes(span.span_id): span for _, span in collector.received}
    assert spans[called.task_id].parent_span_id.hex() == CALLER
    assert [spans[task.task_id].parent_span_id for task in (alone, again)] == [b"", b""]
    traces = [parse_traceparent(task.trace_context.traceparent) for task in (called, alone, again)]
    assert len({trace.trace_id for trace in traces if trace}) == 3
    assert broken_rules(collector.exported, {CALLER}) == []
