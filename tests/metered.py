"""Metrics that are switched on inside a test, and read by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric

from outlast.telemetry.metrics import cardinality, metering

#: The attributes of one series, sorted.
Series = tuple[tuple[str, str], ...]


@dataclass
class Figures:
    """What has been counted up to now."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def metrics(self) -> dict[str, Metric]:
        """Return every metric that has a value, by its name."""
        data = self.reader.get_metrics_data()
        resources = data.resource_metrics if data is not None else ()
        return {
            metric.name: metric
            for resource in resources
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def values(self, name: str) -> dict[Series, float]:
        """Return the value of each series of a metric; of a histogram, how many were recorded."""
        return {series: found[0] for series, found in self._points(name).items()}

    def sums(self, name: str) -> dict[Series, float]:
        """Return the sum of each series of a histogram."""
        return {series: found[1] for series, found in self._points(name).items()}

    def _points(self, name: str) -> dict[Series, tuple[float, float]]:
        metric = self.metrics().get(name)
        points = metric.data.data_points if metric is not None else ()
        return {
            tuple(sorted((key, str(value)) for key, value in (point.attributes or {}).items())): (
                (point.count, point.sum) if isinstance(point, HistogramDataPoint) else (point.value, 0.0)  # type: ignore[union-attr]
            )
            for point in points
        }


@contextmanager
def metered() -> Iterator[Figures]:
    """Switch metrics on for what is made meanwhile, and off again."""
    figures = Figures()
    provider = MeterProvider([figures.reader], shutdown_on_exit=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "_metering", metering.metering_of(provider, own=True))
        for name in ("agent", "task_type", "error_type"):
            patch.setattr(cardinality, name, cardinality.Bounded())
        yield figures
    provider.shutdown()
