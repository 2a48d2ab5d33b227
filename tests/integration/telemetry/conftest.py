"""A collector inside the test, and tracing that each test switches on for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.util._once import Once

from outlast.telemetry import tracing

from .collector import Collector

OTEL_VARIABLES = (
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    found = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(found, server)  # type: ignore[no-untyped-call]
    found.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield found
    await server.stop(None)


def forget_provider() -> None:
    """Be as a process in which nobody has set a provider."""
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    tracing._global = None


@pytest.fixture(autouse=True)
def clean_tracing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the machine's, and no provider of another test's: OpenTelemetry lets a process set one only."""
    for variable in OTEL_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    forget_provider()
    yield
    tracing.shutdown(5)
    forget_provider()
