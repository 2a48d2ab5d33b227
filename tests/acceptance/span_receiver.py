"""A receiver of spans: the collector service of OTLP over gRPC, on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from ..jaeger_rules import Exported, broken_rules, spans_in
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
    #: Seconds since 1970, to the millisecond.
    began: float
    ended: float


class SpanReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans at ``address`` and keeps them."""

    def __init__(self, port: int = 0) -> None:
        """``port`` is one that is free; 0 for any."""
        self._changed = threading.Condition()
        self._spans: dict[str, ReceivedSpan] = {}
        #: All that came, repeats too, in the order in which it came.
        self.exported: list[Exported] = []
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:  # the name that the protocol gives
        """Keep what comes."""
        with self._changed:
            for resource, span in spans_in(request):
                received = _received(span)
                self._spans[received.span_id] = received
                self.exported.append((resource, span))
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

    def task(self, task_id: str) -> ReceivedSpan:
        """Return the span of a task, as soon as it is there."""
        wanted = f"{int(task_id):016x}"
        return self.wait(lambda span: span.span_id == wanted, f"the span of task {task_id}")

    def times(self, span: ReceivedSpan) -> int:
        """Return how often a span came."""
        with self._changed:
            return sum(exported.span_id.hex() == span.span_id for _, exported in self.exported)

    def broken_rules(self, *outside: str) -> list[str]:
        """Return what Jaeger would find wrong with the traces so far; ``outside`` are the ids of others' spans."""
        with self._changed:
            return broken_rules(self.exported, outside)

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
        began=span.start_time_unix_nano // 1_000_000 / 1_000,
        ended=span.end_time_unix_nano // 1_000_000 / 1_000,
    )
