"""What Jaeger and its page make of spans: the rules by which a trace there is whole, applied to what was exported.

As Jaeger 2.19 has them. On the way in, a span that does not end after it begins is given an end and a warning. On the
way out, of spans that are the very same one is left, and a span that begins before its parent is moved or, by default,
has a warning. The page gives any other span whose id is taken a new one, shows a span whose parent is not there as a
root of a trace that is "Incomplete", takes the first link of such a span for its parent, and cannot draw a circle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

#: A span with what it was exported under.
Exported = tuple[Resource, Span]
#: By how many nanoseconds a span may seem to begin before its parent: some of the record's times are in milliseconds.
TOLERANCE = 1_000_000
#: Spans by trace id and span id.
Found = dict[tuple[bytes, bytes], Span]


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
    found: Found = {}
    bodies: dict[tuple[bytes, bytes], bytes] = {}
    for resource, span in exported:
        key = (span.trace_id, span.span_id)
        body = resource.SerializeToString(deterministic=True) + span.SerializeToString(deterministic=True)
        if bodies.setdefault(key, body) != body:
            broken.append(f"{_told(span)} came again and is not the same")
        elif key not in found and not _service_of(resource):
            broken.append(f"{_told(span)} is of no service")
        found[key] = span
    for span in found.values():
        broken += [f"{_told(span)} {why}" for why in (*_wrong_alone(span), *_wrong_place(span, found, outside))]
    roots = Counter(span.trace_id for span in found.values() if not span.parent_span_id)
    return broken + [f"the trace ({trace.hex()}) has {count} roots" for trace, count in roots.items() if count > 1]


def _wrong_alone(span: Span) -> Iterator[str]:
    """Yield what is wrong with a span, whatever the others are."""
    if not span.name:
        yield "has no name"
    if not any(span.trace_id) or not any(span.span_id):
        yield "has no id"
    if span.start_time_unix_nano >= span.end_time_unix_nano:
        yield "does not end after it begins"
    for key, count in Counter(attribute.key for attribute in span.attributes).items():
        if count > 1:
            yield f"has {key} {count} times"
    for link in span.links:
        if link.trace_id != span.trace_id:
            yield "links to another trace"


def _wrong_place(span: Span, found: Found, outside: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with where a span is in its trace."""
    parent = found.get((span.trace_id, span.parent_span_id))
    if parent is None and span.parent_span_id and span.parent_span_id.hex() not in outside:
        yield f"is an orphan: its parent {span.parent_span_id.hex()} never came"
    if parent is None and span.links:
        yield "has no parent, and its link is taken for one"
    if parent is not None and span.start_time_unix_nano < parent.start_time_unix_nano - TOLERANCE:
        yield "begins before its parent"
    if _in_a_circle(span, found):
        yield "is its own ancestor"


def _in_a_circle(span: Span, found: Found) -> bool:
    seen: set[bytes] = set()
    above: Span | None = span
    while above is not None and above.span_id not in seen:
        seen.add(above.span_id)
        above = found.get((above.trace_id, above.parent_span_id))
    return above is span


def _service_of(resource: Resource) -> str:
    return next((item.value.string_value for item in resource.attributes if item.key == "service.name"), "")


def _told(span: Span) -> str:
    return f"{span.name!r} ({span.span_id.hex()})"
