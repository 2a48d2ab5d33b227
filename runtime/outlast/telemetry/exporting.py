"""The tracer provider that the standard variables ask for.

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

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
            if name == "console":
                console = BatchSpanProcessor(ConsoleSpanExporter(), schedule_delay_millis=_CONSOLE_DELAY_MILLIS)
                provider.add_span_processor(console)
            else:
                provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    except ValueError as error:  # the SDK's way of refusing a variable
        raise StartRefused(f"OTEL_*: {error}") from error
    return provider


def _exporter(name: str) -> SpanExporter:
    if name == "otlp":
        return _otlp_exporter()
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
