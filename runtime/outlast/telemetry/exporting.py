"""The tracer provider and the exporters that the standard variables ask for.

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult

from outlast.core.errors import StartRefused
from outlast.telemetry import variables
from outlast.telemetry.exporters import make_exporter
from outlast.telemetry.resource import make_resource

#: How long a span waits for others, unless the environment says otherwise. Not long: somebody looks, and what waits in
#: a process that is killed is lost, and with it the parent of its tasks' spans, which never are.
DELAY_MILLIS = 200.0


def make_provider(service_name: str) -> TracerProvider:
    """Return a provider with the exporters, the sampler, the limits and the resource that the environment asks for.

    Raises:
        StartRefused: a variable names what is not there.
    """
    try:
        # Not shut down by atexit: that has no deadline and keeps a process with a dead collector for half a minute.
        provider = TracerProvider(resource=make_resource(service_name), shutdown_on_exit=False)
        delay = None if variables.span_delay_set() else DELAY_MILLIS
        for name in variables.exporter_names():
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
    exporter: SpanExporter = ConsoleSpanExporter() if name == "console" else make_exporter("TRACES", name)
    return exporter
