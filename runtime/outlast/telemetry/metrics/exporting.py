"""The meter provider and the exporters that the standard variables ask for.

Loaded only when metrics are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    MetricReader,
    PeriodicExportingMetricReader,
)

from outlast.core.errors import StartRefused
from outlast.telemetry import variables
from outlast.telemetry.exporters import make_exporter
from outlast.telemetry.metrics.delivery import MetricDelivery
from outlast.telemetry.resource import make_resource

if TYPE_CHECKING:
    from outlast.telemetry.metrics.prometheus import Page


class PeriodicReader(PeriodicExportingMetricReader):
    """Exports every so often (``OTEL_METRIC_EXPORT_INTERVAL``, milliseconds, 60 s), on a thread of its own."""

    def __init__(self, exporter: MetricExporter) -> None:
        """Raise ValueError where the interval is none."""
        self._delivery = MetricDelivery(exporter, asked_for=variables.asked_by_name("METRICS"))
        super().__init__(self._delivery)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Export once more, and end the thread."""
        self._delivery.close_soon()
        super().shutdown(timeout_millis, **kwargs)


def make_provider(service_name: str) -> tuple[MeterProvider, Page | None]:
    """Return a provider with the exporters and the resource that the environment asks for, and Prometheus' page.

    Raises:
        StartRefused: a variable names what is not there.
    """
    readers: list[MetricReader] = []
    page = None
    try:
        for name in variables.exporter_names("METRICS"):
            if name == "prometheus":
                from outlast.telemetry.metrics.prometheus import Page

                page = Page()
                readers.insert(0, page.reader)  # it ends at once: whatever the others take is over before it would
            else:
                readers.append(_reader(name))
        # Not shut down by atexit: that has no deadline.
        return MeterProvider(readers, make_resource(service_name), shutdown_on_exit=False), page
    except ValueError as error:  # the SDK's way of refusing a variable
        raise StartRefused(f"OTEL_*: {error}") from error


def _reader(name: str) -> MetricReader:
    made: MetricReader | MetricExporter
    made = ConsoleMetricExporter() if name == "console" else make_exporter("METRICS", name)
    return made if isinstance(made, MetricReader) else PeriodicReader(made)
