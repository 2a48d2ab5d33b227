"""The tracer provider and the exporters that the standard variables ask for.

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from outlast.core.errors import StartRefused
from outlast.telemetry import variables

#: A collector that does not answer holds one export no longer than this, unless the environment says otherwise.
EXPORT_TIMEOUT_SECONDS = 3
#: Spans on the console are for somebody who looks at it.
_CONSOLE_DELAY_MILLIS = 200.0


def make_provider(service_name: str) -> TracerProvider:
    """Return a provider with the exporters, the sampler, the limits and the resource that the environment asks for.

    Raises:
        StartRefused: a variable names what is not there.
    """
    resource = Resource.create()
    if not variables.service_named():
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    try:
        # Not shut down by atexit: that has no deadline and keeps a process with a dead collector for half a minute.
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in variables.exporter_names():
            delay = _CONSOLE_DELAY_MILLIS if name == "console" else None
            provider.add_span_processor(BatchSpanProcessor(_exporter(name), schedule_delay_millis=delay))
    except ValueError as error:  # the SDK's way of refusing a variable
        raise StartRefused(f"OTEL_*: {error}") from error
    return provider


class EveryExporter(SpanExporter):
    """All the exporters that the environment asks for, none of them shared: spans are exported when all took them."""

    def __init__(self) -> None:
        """Raise StartRefused as ``make_provider`` does."""
        self._exporters = [_exporter(name) for name in variables.exporter_names()]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export to each, whatever becomes of the others; raise what any of them raised."""
        worst, errors = SpanExportResult.SUCCESS, []
        for exporter in self._exporters:
            try:
                if exporter.export(spans) is not SpanExportResult.SUCCESS:
                    worst = SpanExportResult.FAILURE
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return worst

    def shutdown(self) -> None:
        """Have each let its connection go."""
        for exporter in self._exporters:
            exporter.shutdown()


def _exporter(name: str) -> SpanExporter:
    match name:
        case "otlp":
            return _otlp_exporter()
        case "console":
            return ConsoleSpanExporter()
    # Those of other distributions, found as opentelemetry-instrument finds them.
    for entry_point in entry_points(group="opentelemetry_traces_exporter", name=name):
        exporter: SpanExporter = entry_point.load()()
        return exporter
    raise StartRefused(f"OTEL_TRACES_EXPORTER: there is no exporter {name!r}; write otlp, console or none")


def _otlp_exporter() -> SpanExporter:
    timeout = None if variables.otlp_timeout_set() else EXPORT_TIMEOUT_SECONDS
    match variables.otlp_protocol():
        case "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

            return GrpcExporter(timeout=timeout)
        case "http/protobuf":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

            return HttpExporter(timeout=timeout)
        case other:
            raise StartRefused(f"OTEL_EXPORTER_OTLP_PROTOCOL: {other!r} is not supported; write grpc or http/protobuf")
