"""OTLP of tasks' spans, made straight of their records.

Loaded only when spans are exported: it imports the OpenTelemetry SDK and gRPC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from outlast.telemetry.recorded_span import RecordedSpan
from outlast.telemetry.task_span import own_attributes, plain_times

#: Kinds of spans that are remembered; all are forgotten when there are more.
MAX_KINDS = 256

#: All that spans of records may differ by, but for ids, times and own attributes.
Kind: TypeAlias = tuple[object, ...]


class RecordExporter(OTLPSpanExporter):
    """The library's exporter, with a short way from the record of a task to its message.

    A library that asks for no translation gets spans as it does from anybody else.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._encoder = RecordEncoder()

    def _translate_data(self, data: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        if any(isinstance(span, RecordedSpan) for span in data):
            return self._encoder.request(data)
        request: ExportTraceServiceRequest = super()._translate_data(data)
        return request


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The first span of a kind, as the library has encoded it."""

    encoded: bytes
    #: Where among its attributes its own are.
    own: Sequence[tuple[int, str]]


class RecordEncoder:
    """Does what the library's ``encode_spans`` does: it the first span of a kind, and the next ones are like that.

    To read one and put in what is another's takes a tenth of the time of encoding one.
    """

    def __init__(self) -> None:
        self._patterns: dict[Kind, _Pattern] = {}

    def request(self, spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
        """Return the message of spans that are all of one scope."""
        request = ExportTraceServiceRequest()
        scopes: dict[Resource, ScopeSpans] = {}
        for span in spans:
            scope = scopes.get(span.resource)
            if scope is None:
                scope = scopes[span.resource] = _scope_of(span, request)
            if isinstance(span, RecordedSpan):
                self._add(span, scope)
            else:
                scope.spans.append(_encoded(span))
        return request

    def _add(self, span: RecordedSpan, scope: ScopeSpans) -> None:
        task, trace = span.task, span.trace
        root = trace.root
        absent = not task.session_id, not task.request_id, not task.worker_id
        kind = (task.task_type, task.agent, task.state, task.state_reason, task.attempt, trace.flags, root, absent)
        pattern = self._patterns.get(kind) or self._remember(kind, span)
        message = scope.spans.add()
        message.MergeFromString(pattern.encoded)
        message.trace_id = trace.trace_id.to_bytes(16, "big")
        message.span_id = task.task_id.to_bytes(8, "big")
        if not root:
            message.parent_span_id = trace.parent_id.to_bytes(8, "big")
        message.start_time_unix_nano, message.end_time_unix_nano = plain_times(task)
        attributes, own = message.attributes, own_attributes(task)
        for place, name in pattern.own:
            attributes[place].value.string_value = own[name]

    def _remember(self, kind: Kind, span: RecordedSpan) -> _Pattern:
        encoded = _encoded(span)
        names = own_attributes(span.task)
        own = [(place, attribute.key) for place, attribute in enumerate(encoded.attributes) if attribute.key in names]
        if len(self._patterns) >= MAX_KINDS:
            self._patterns.clear()
        pattern = self._patterns[kind] = _Pattern(encoded.SerializeToString(), own)
        return pattern


def _scope_of(span: ReadableSpan, request: ExportTraceServiceRequest) -> ScopeSpans:
    """Return where in a request spans of the same resource and scope go, none of which is there."""
    [group] = encode_spans([span]).resource_spans
    [scope] = group.scope_spans
    del scope.spans[:]
    request.resource_spans.append(group)
    return request.resource_spans[-1].scope_spans[0]


def _encoded(span: ReadableSpan) -> Span:
    [group] = encode_spans([span]).resource_spans
    return group.scope_spans[0].spans[0]
