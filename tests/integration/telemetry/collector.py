"""The receiving end of OTLP over gRPC, inside the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...jaeger_rules import Exported, spans_in


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span that arrives, unless it is told to refuse them."""

    endpoint: str = ""
    #: Each span with the service name that it came under.
    received: list[tuple[str, Span]] = field(default_factory=list)
    #: The same with all of what they came under.
    exported: list[Exported] = field(default_factory=list)
    #: How many messages came.
    messages: int = 0
    refuses: bool = False
    #: Set with every message that comes.
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
        """Keep what arrives."""
        self.messages += 1
        self.arrived.set()
        if self.refuses:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not today")
        for resource, span in spans_in(request):
            names = {item.key: item.value.string_value for item in resource.attributes}
            self.received.append((names["service.name"], span))
            self.exported.append((resource, span))
        return ExportTraceServiceResponse()

    async def wait_spans(self, number: int) -> None:
        """Wait until so many spans are here."""
        async with asyncio.timeout(30):
            while len(self.received) < number:
                self.arrived.clear()
                await self.arrived.wait()

    async def wait_messages(self, number: int) -> None:
        """Wait until so many messages came, be they refused."""
        async with asyncio.timeout(30):
            while self.messages < number:
                self.arrived.clear()
                await self.arrived.wait()

    def span(self, name: str) -> Span:
        """Return the one span of this name."""
        [span] = [span for _, span in self.received if span.name == name]
        return span
