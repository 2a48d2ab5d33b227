"""The page that Prometheus reads, ``/metrics``: what it says, not who serves it (outlastd.launch.metrics_page).

Loaded only when ``OTEL_METRICS_EXPORTER`` names prometheus: it needs the extra ``outlast[prometheus]``.
"""

from __future__ import annotations

from outlast.core.errors import StartRefused

try:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder
except ImportError as error:
    raise StartRefused(
        f"OTEL_METRICS_EXPORTER=prometheus: {error.name} is not installed; install outlast[prometheus]"
    ) from None


class Page:
    """What this process has counted, in the formats that Prometheus reads."""

    def __init__(self) -> None:
        # One of our own: the process's global one has figures of the interpreter, and of whoever else there is.
        self._registry = CollectorRegistry()
        #: To be given to the provider.
        self.reader = PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the figures of now and their content type, by what a client says that it accepts.

        Blocks: not for a loop. Not for two threads at a time.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is none
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type
