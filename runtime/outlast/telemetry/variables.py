"""The standard variables of OpenTelemetry that decide what is exported, read without loading its SDK.

Their meaning: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
#: The port that OTLP over HTTP has by convention.
_HTTP_PORT = 4318


def export_wanted() -> bool:
    """Return whether the environment asks for spans to be exported."""
    return not sdk_disabled() and bool(exporter_names())


def sdk_disabled() -> bool:
    """Return whether the environment says that nothing is to be traced."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def exporter_names() -> list[str]:
    """Return the exporters that are asked for: by name, or OTLP by its endpoint."""
    value = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not value:
        return ["otlp"] if _first(_ENDPOINTS) else []
    return [name for name in (part.strip() for part in value.split(",")) if name not in ("", "none")]


def otlp_protocol() -> str:
    """Return the protocol of OTLP: the one asked for, else the one that the endpoint's port stands for, else grpc."""
    try:
        port = urlsplit(_first(_ENDPOINTS)).port
    except ValueError:
        port = None
    return _first(_PROTOCOLS) or ("http/protobuf" if port == _HTTP_PORT else "grpc")


def otlp_timeout_set() -> bool:
    """Return whether the environment says how long an export may take."""
    return bool(_first(_TIMEOUTS))


def service_named() -> bool:
    """Return whether the environment gives the service a name."""
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or any(
        attribute.partition("=")[0].strip() == "service.name" for attribute in attributes
    )


def _first(variables: tuple[str, ...]) -> str:
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), "")
