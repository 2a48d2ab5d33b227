"""The way of metrics to an exporter, and what is said of it: one line when it fails, one when it works again.

Loaded only when metrics are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from outlast.telemetry.log import get_logger, summary_of

#: Where OTLP's exporters say why they fail; the first one is shared with spans.
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
)
#: What a collector answers that takes spans and no metrics: of gRPC and of HTTP.
_TAKES_NONE = ("UNIMPLEMENTED", "404", "405")
_CURE = (
    "set OTEL_METRICS_EXPORTER=none, or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT to a collector that takes them "
    "(Jaeger does not)"
)


class MetricDelivery(MetricExporter):
    """Passes metrics on to an exporter. Called by the reader's thread, until another one shuts it down."""

    def __init__(self, exporter: MetricExporter, *, asked_for: bool) -> None:
        """``asked_for`` is whether somebody wants metrics, and not only OTLP: then it is a warning that fails."""
        # The SDK has no public way to ask an exporter for them.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter = exporter
        self._asked_for = asked_for
        self._failing = False
        self._closing = False
        #: Whether an export has begun and not ended: the thread that shuts down may have waited long enough for it.
        self._under_way = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Pass metrics on. They are cumulative: what is lost on its way comes with the next."""
        self._under_way = True
        with _Listening() as heard:
            try:
                result = self._exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)
            except Exception as error:  # the exporter may be another distribution's
                result, heard.reason = MetricExportResult.FAILURE, summary_of(error)
        self._under_way = False
        if result is MetricExportResult.SUCCESS:
            self._worked()
        else:
            self._failed(heard)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Have the exporter send what it keeps back."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Have the exporter let its connection go, and break off what is under way."""
        if self._under_way:
            self._left_behind("the exporter did not finish in time")
        with _Listening():  # it says that it breaks off: that is what it was told to
            self._exporter.shutdown(timeout_millis=timeout_millis, **kwargs)

    def close_soon(self) -> None:
        """Say that the next export is the last: that a collector takes no metrics is no news any more."""
        self._closing = True

    def _left_behind(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            get_logger().warning("metrics were left behind", reason=reason)

    def _failed(self, heard: _Listening) -> None:
        if self._closing:
            if not heard.takes_none:
                self._left_behind(heard.reason)
            return
        if self._failing:
            return
        self._failing = True
        log = get_logger()
        if not heard.takes_none:
            log.warning("metrics cannot be exported; the next export brings them", reason=heard.reason)
        elif self._asked_for:
            log.warning("the collector takes no metrics", reason=heard.reason, cure=_CURE)
        else:
            log.info("the collector takes no metrics", reason=heard.reason, cure=_CURE)

    def _worked(self) -> None:
        if self._failing:
            get_logger().info("metrics are exported again")
        self._failing = False


class _Listening(logging.Filter):
    """Keeps for itself, while it is open, what exporters say on this thread."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        #: The last of it, which says why.
        self.reason = "the exporter reported a failure"
        #: Whether the collector takes spans at the most.
        self.takes_none = False

    def __enter__(self) -> _Listening:
        for name in _LOGGERS:
            # Before the SDK's own, which lets one of two failures through that follow each other, be they spans'.
            logging.getLogger(name).filters.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record of this thread's; let others pass."""
        if record.thread != self._thread:
            return True
        self.reason = record.getMessage()
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.takes_none = any(str(getattr(argument, "name", argument)) in _TAKES_NONE for argument in arguments)
        return False
