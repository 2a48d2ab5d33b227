"""The standard variables of OpenTelemetry that decide what is exported, read without loading its SDK.

Their meaning: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
import re
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

#: As it stands in the names of variables.
Signal: TypeAlias = Literal["TRACES", "METRICS"]

#: The port that OTLP over HTTP has by convention.
_HTTP_PORT = 4318
_PROMETHEUS_HOST, _PROMETHEUS_PORT = "localhost", 9464
#: Times, of which the SDK takes one that is no number for its default, or refuses it without a name.
_TIMES = (
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_METRIC_EXPORT_INTERVAL",
)


def export_wanted(signal: Signal = "TRACES") -> bool:
    """Return whether the environment asks for a signal to be exported."""
    return not sdk_disabled() and bool(exporter_names(signal))


def check_times() -> None:
    """Refuse times that are no numbers, where something is to be exported.

    Raises:
        ValueError: names the first of them.
    """
    if not (export_wanted("TRACES") or export_wanted("METRICS")):
        return
    for name in _TIMES:
        value = _get(name)
        if value and not (re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) and float(value)):
            unit = "seconds" if name.endswith("TIMEOUT") else "milliseconds"
            raise ValueError(f"{name}: {value!r} is no time; write {unit}, as a number without a unit")


def sdk_disabled() -> bool:
    """Return whether the environment says that there is to be no telemetry."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def exporter_names(signal: Signal = "TRACES") -> list[str]:
    """Return the exporters that are asked for: by name, or OTLP by its endpoint."""
    value = _get(f"OTEL_{signal}_EXPORTER").lower()
    if not value:
        return ["otlp"] if _of_otlp(signal, "ENDPOINT") else []
    return [name for name in (part.strip() for part in value.split(",")) if name not in ("", "none")]


def asked_by_name(signal: Signal) -> bool:
    """Return whether the environment asks for this very signal, and not only for OTLP as a whole."""
    return bool(_get(f"OTEL_{signal}_EXPORTER") or _get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


def otlp_protocol(signal: Signal = "TRACES") -> str:
    """Return the protocol of OTLP: the one asked for, else the one that the endpoint's port stands for, else grpc."""
    try:
        port = urlsplit(_of_otlp(signal, "ENDPOINT")).port
    except ValueError:
        port = None
    return _of_otlp(signal, "PROTOCOL") or ("http/protobuf" if port == _HTTP_PORT else "grpc")


def otlp_timeout_set(signal: Signal = "TRACES") -> bool:
    """Return whether the environment says how long an export may take."""
    return bool(_of_otlp(signal, "TIMEOUT"))


def span_delay_set() -> bool:
    """Return whether the environment says how long a span may wait for its export."""
    return bool(_get("OTEL_BSP_SCHEDULE_DELAY"))


def prometheus_address() -> tuple[str, int, bool]:
    """Return the host and the port of the page for Prometheus, and whether that port was asked for.

    Raises:
        ValueError: the port is none.
    """
    host, port = _get("OTEL_EXPORTER_PROMETHEUS_HOST"), _get("OTEL_EXPORTER_PROMETHEUS_PORT")
    if port and not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ValueError(f"OTEL_EXPORTER_PROMETHEUS_PORT: {port!r} is not a port; write a number from 0 to 65535")
    return host or _PROMETHEUS_HOST, int(port or _PROMETHEUS_PORT), bool(port)


def service_named() -> bool:
    """Return whether the environment gives the service a name."""
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or any(
        attribute.partition("=")[0].strip() == "service.name" for attribute in attributes
    )


def _of_otlp(signal: Signal, what: str) -> str:
    """Return a variable of OTLP's: the signal's own, else that of all signals."""
    return _get(f"OTEL_EXPORTER_OTLP_{signal}_{what}") or _get(f"OTEL_EXPORTER_OTLP_{what}")


def _get(name: str) -> str:
    return os.environ.get(name, "").strip()
