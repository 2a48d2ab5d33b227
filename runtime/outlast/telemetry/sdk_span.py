"""A span as OpenTelemetry's SDK has it, of one that was not begun in this process.

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from functools import cached_property

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from outlast.telemetry.propagation import Traceparent
from outlast.telemetry.tracing import SCOPE

#: What all spans share: made once, for to make them takes longer than to make the rest of a span.
_SCOPE = InstrumentationScope(SCOPE)
_UNSET, _OK = Status(), Status(StatusCode.OK)
_NO_STATE = TraceState()
_EMPTY = Context()
_FLAGS = {flags: TraceFlags(flags) for flags in range(4)}


class SharedResource(Resource):
    """A resource that knows its hash: an exporter asks for it with every span, and it is made of all attributes."""

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)


def unset() -> Status:
    """Return the status of a span that is neither a failure nor said to be well."""
    return _UNSET


def well() -> Status:
    """Return the status of what went well."""
    return _OK


def failed(description: str) -> Status:
    """Return the status of a failure."""
    return Status(StatusCode.ERROR, description)


def make_context(trace: Traceparent, span_id: int, tracestate: str = "", *, remote: bool = False) -> SpanContext:
    """Return what OpenTelemetry calls a span of a trace by."""
    state = TraceState.from_header([tracestate]) if tracestate else _NO_STATE
    return SpanContext(trace.trace_id, span_id, remote, _FLAGS[trace.flags], state)


def context_in(trace: Traceparent, span_id: int) -> Context:
    """Return a context in which a span is current: only its name is needed."""
    return set_span_in_context(NonRecordingSpan(make_context(trace, span_id)), _EMPTY)


def make_span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    resource: Resource,
    attributes: dict[str, str | int],
    began: int,
    ended: int,
    status: Status,
) -> ReadableSpan:
    """Return a span that is over; times are nanoseconds since the Unix epoch."""
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=status,
        start_time=began,
        end_time=ended,
        instrumentation_scope=_SCOPE,
    )
