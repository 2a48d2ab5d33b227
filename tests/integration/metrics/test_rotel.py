"""Metrics reach a collector that is not written in Python, by both protocols, and come out of it as they went in."""

from __future__ import annotations

import asyncio
import sys

import pytest
from opentelemetry.metrics import Observation

from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.buckets import TASK_SECONDS

from ... import rotel
from .receivers import over_grpc

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 14), reason="rotel has no wheel for this Python")


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_metrics_pass_a_foreign_collector(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter, an observed sum and a histogram with our buckets."""
    async with over_grpc() as receiver, rotel.running(receiver.endpoint) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint(protocol))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        await asyncio.to_thread(metering.set_up, "research")
        active = metering.active()
        assert active is not None
        active.meter.create_counter("outlast.test.made", "{task}").add(2, {"agent": "ünï"})
        active.observed.sum("outlast.test.held", lambda: [Observation(3)], unit="{task}", description="")
        active.meter.create_histogram(
            "outlast.test.duration", "s", explicit_bucket_boundaries_advisory=TASK_SECONDS
        ).record(7200)
        assert await asyncio.to_thread(metering.shutdown, 5)
        await receiver.wait(1)

        found = receiver.metrics()
        made, held, duration = (found[f"outlast.test.{name}"] for name in ("made", "held", "duration"))
        assert (made.unit, made.sum.is_monotonic, made.sum.data_points[0].as_int) == ("{task}", True, 2)
        assert made.sum.data_points[0].attributes[0].value.string_value == "ünï"
        assert (held.sum.is_monotonic, held.sum.data_points[0].as_int) == (False, 3)
        assert list(duration.histogram.data_points[0].explicit_bounds) == list(TASK_SECONDS)
        assert receiver.resource()["service.name"] == "research"
