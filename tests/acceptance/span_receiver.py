"""A receiver of spans: the collector service of OTLP over gRPC, on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from .agent_process import PATIENCE


@dataclass(frozen=True)
class ReceivedSpan:
    """What a test asks of a span; ids are lower-case hex, an empty parent is none."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    status: int
    attributes: dict[str, Any]


class SpanReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans at ``address`` and keeps them, each id once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: dict[str, ReceivedSpan] = {}
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:  # the name that the protocol gives
        """Keep what comes."""
        with self._changed:
            for resource_spans in request.resource_spans:
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        received = _received(span)
                        self._spans[received.span_id] = received
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def wait(self, wanted: Callable[[ReceivedSpan], bool], what: str) -> ReceivedSpan:
        """Return the first span that ``wanted`` says yes to, as soon as it is there."""
        found: list[ReceivedSpan] = []

        def look() -> bool:
            found.extend(span for span in self._spans.values() if wanted(span))
            return bool(found)

        with self._changed:
            self._changed.wait_for(look, PATIENCE)
            names = [span.name for span in self._spans.values()]
        assert found, f"{what} never came; there are {names}"
        return found[0]

    def named(self, name: str) -> ReceivedSpan:
        """Return the span with this name, as soon as it is there."""
        return self.wait(lambda span: span.name == name, name)

    def close(self) -> None:
        """Take no more."""
        self._server.stop(None).wait(PATIENCE)


def _received(span: Any) -> ReceivedSpan:
    attributes = {}
    for pair in span.attributes:
        attributes[pair.key] = getattr(pair.value, pair.value.WhichOneof("value"))
    return ReceivedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=span.kind,
        status=span.status.code,
        attributes=attributes,
    )
