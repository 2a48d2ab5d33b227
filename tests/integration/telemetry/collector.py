"""The receiving end of OTLP over gRPC, inside the test."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span that arrives."""

    endpoint: str = ""
    #: Each span with the service name that it came under.
    received: list[tuple[str, Span]] = field(default_factory=list)

    async def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:
        """Keep what arrives."""
        for of_resource in request.resource_spans:
            names = {item.key: item.value.string_value for item in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.received.extend((names["service.name"], span) for span in of_scope.spans)
        return ExportTraceServiceResponse()

    def span(self, name: str) -> Span:
        """Return the one span of this name."""
        [span] = [span for _, span in self.received if span.name == name]
        return span
