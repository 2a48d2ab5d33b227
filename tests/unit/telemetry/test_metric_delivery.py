"""What is said of metrics on their way."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.delivery import MetricDelivery

Line = dict[str, Any]
Written = Callable[[], list[Line]]
NOTHING = MetricsData(resource_metrics=[])
GRPC, HTTP = "opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.exporter.otlp.proto.http.metric_exporter"


class Exporter(MetricExporter):
    """Does as OTLP's: it says why in the log, and only there."""

    def __init__(self) -> None:
        super().__init__()
        #: What it says next; None when it works.
        self.said: tuple[str, str, tuple[object, ...]] | None = None
        self.raises: Exception | None = None

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Say it."""
        if self.raises is not None:
            raise self.raises
        if self.said is None:
            return MetricExportResult.SUCCESS
        name, message, arguments = self.said
        logging.getLogger(name).error(message, *arguments)
        return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Keep nothing back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Say that it breaks off."""
        logging.getLogger(GRPC).warning("Shutdown in progress, aborting retry.")


@pytest.fixture
def exporter() -> Exporter:
    """An exporter that works."""
    return Exporter()


UNREACHABLE = (GRPC, "Failed to export %s: %s", ("metrics", grpc.StatusCode.UNAVAILABLE))
UNIMPLEMENTED = (GRPC, "Failed to export %s: %s", ("metrics", grpc.StatusCode.UNIMPLEMENTED))
NOT_FOUND = (HTTP, "Failed to export %s batch code: %s, reason: %s", ("metrics", 404, "Not Found"))


def test_an_outage_has_two_lines(exporter: Exporter, written: Written, caplog: pytest.LogCaptureFixture) -> None:
    """One when it begins, with the exporter's own reason, and one when it is over; none of the SDK's between."""
    delivery = MetricDelivery(exporter, asked_for=True)
    exporter.said = UNREACHABLE
    for _ in range(3):
        assert delivery.export(NOTHING) is MetricExportResult.FAILURE
    exporter.said = None
    for _ in range(2):
        assert delivery.export(NOTHING) is MetricExportResult.SUCCESS

    begin, end = written()
    assert begin["message"] == "metrics cannot be exported; the next export brings them"
    assert "UNAVAILABLE" in begin["reason"]
    assert end["message"] == "metrics are exported again"
    assert not caplog.records


@pytest.mark.parametrize("answer", [UNIMPLEMENTED, NOT_FOUND])
@pytest.mark.parametrize(("asked_for", "level"), [(False, "INFO"), (True, "WARNING")])
def test_a_collector_without_metrics_has_one_line(
    exporter: Exporter, written: Written, answer: tuple[str, str, tuple[object, ...]], asked_for: bool, level: str
) -> None:
    """It names the cure; whoever asked for OTLP as a whole, and not for metrics, is not warned."""
    delivery = MetricDelivery(exporter, asked_for=asked_for)
    exporter.said = answer
    for _ in range(3):
        delivery.export(NOTHING)
    delivery.close_soon()
    delivery.export(NOTHING)
    delivery.shutdown()

    [line] = written()
    assert (line["level"], line["message"]) == (level, "the collector takes no metrics")
    assert "OTEL_METRICS_EXPORTER=none" in line["cure"]


def test_at_the_end_a_collector_without_metrics_is_no_news(exporter: Exporter, written: Written) -> None:
    """A short run with a collector of spans alone says nothing."""
    delivery = MetricDelivery(exporter, asked_for=False)
    exporter.said = UNIMPLEMENTED
    delivery.close_soon()
    delivery.export(NOTHING)

    assert written() == []


def test_an_exporter_that_raises_is_an_outage(exporter: Exporter, written: Written) -> None:
    """It may be another distribution's."""
    exporter.raises = RuntimeError("no ink")
    assert MetricDelivery(exporter, asked_for=True).export(NOTHING) is MetricExportResult.FAILURE

    [line] = written()
    assert "no ink" in line["reason"]


def test_a_failure_of_spans_hides_none_of_metrics(exporter: Exporter, written: Written) -> None:
    """OTLP's own filter drops the second of two sayings of one kind: it comes after ours."""
    from opentelemetry.exporter.otlp.proto.grpc import exporter as _with_its_filter  # noqa: F401

    logging.getLogger(GRPC).error(UNIMPLEMENTED[1], "traces", grpc.StatusCode.UNAVAILABLE)
    exporter.said = UNIMPLEMENTED
    MetricDelivery(exporter, asked_for=False).export(NOTHING)

    assert written()[-1]["message"] == "the collector takes no metrics"


def test_what_other_threads_say_is_theirs(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    """The logger of OTLP over gRPC is that of spans too: outside an export it is as it was."""
    MetricDelivery(exporter, asked_for=True).export(NOTHING)
    logging.getLogger(GRPC).warning("Failed to export traces")

    assert [record.message for record in caplog.records] == ["Failed to export traces"]


def test_an_end_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A provider that cannot end all its readers in time says so in a line, and in no thread's traceback."""

    class Hasty(MeterProvider):
        def shutdown(self, timeout_millis: float = 30_000) -> None:
            raise RuntimeError("deadline already exceeded")

    provider = Hasty(shutdown_on_exit=False)
    monkeypatch.setattr(metering, "_metering", metering.metering_of(provider, own=True))
    metering.shutdown(10)

    [line] = capfd.readouterr().err.splitlines()
    assert json.loads(line)["reason"] == "deadline already exceeded"
