"""What Jaeger and its page make of spans: the rules by which a trace there is whole, applied to what was exported.

Jaeger's server drops a span only when it has got the very same one before. Its page gives any other span whose id is
taken a new one, shows a span whose parent is not there as a root, takes the first link of a span without a parent for
its parent, and cannot draw a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

#: A span with what it was exported under.
Exported = tuple[Resource, Span]


def spans_in(request: ExportTraceServiceRequest) -> Iterator[Exported]:
    """Yield the spans of a message."""
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield of_resource.resource, span


def broken_rules(exported: Iterable[Exported], outside: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the traces, a sentence each; nothing when they are whole.

    ``outside`` are the ids (hex) of spans that somebody else exports: the callers'.
    """
    broken: list[str] = []
    found: dict[tuple[bytes, bytes], Span] = {}
    bodies: dict[tuple[bytes, bytes], bytes] = {}
    for resource, span in exported:
        key = (span.trace_id, span.span_id)
        body = resource.SerializeToString(deterministic=True) + span.SerializeToString(deterministic=True)
        if bodies.setdefault(key, body) != body:
            broken.append(f"{_told(span)} came again and is not the same")
        found[key] = span
    for span in found.values():
        parent = (span.trace_id, span.parent_span_id)
        if span.parent_span_id and parent not in found and span.parent_span_id.hex() not in outside:
            broken.append(f"{_told(span)} is an orphan: its parent {span.parent_span_id.hex()} never came")
        if not span.parent_span_id and span.links:
            broken.append(f"{_told(span)} has no parent, and its link is taken for one")
        broken += [f"{_told(span)} links to another trace" for link in span.links if link.trace_id != span.trace_id]
        if _in_a_circle(span, found):
            broken.append(f"{_told(span)} is its own ancestor")
        if span.start_time_unix_nano > span.end_time_unix_nano:
            broken.append(f"{_told(span)} ends before it begins")
    return broken


def _in_a_circle(span: Span, found: dict[tuple[bytes, bytes], Span]) -> bool:
    seen: set[bytes] = set()
    above: Span | None = span
    while above is not None and above.span_id not in seen:
        seen.add(above.span_id)
        above = found.get((above.trace_id, above.parent_span_id))
    return above is span


def _told(span: Span) -> str:
    return f"{span.name!r} ({span.span_id.hex()})"
