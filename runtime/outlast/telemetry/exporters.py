"""The exporters that the standard variables ask for, of either signal, and their end.

Loaded only when something is exported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from outlast.core.errors import StartRefused
from outlast.telemetry import variables
from outlast.telemetry.log import get_logger
from outlast.telemetry.variables import Signal

#: A collector that does not answer holds one export no longer than this, unless the environment says otherwise.
EXPORT_TIMEOUT_SECONDS = 3
#: What OTLP's exporter of a signal is called, and what else may be asked for by name.
_OTLP = {"TRACES": ("trace_exporter", "OTLPSpanExporter"), "METRICS": ("metric_exporter", "OTLPMetricExporter")}
_KNOWN = {"TRACES": "otlp, console or none", "METRICS": "otlp, prometheus, console or none"}
#: The package of OTLP's exporters, by protocol.
_PROTOCOLS = {"grpc": "grpc", "http/protobuf": "http"}


def make_exporter(signal: Signal, name: str) -> Any:
    """Return the exporter of a signal that is asked for by name.

    Raises:
        StartRefused: there is none.
        ValueError: the SDK's way of refusing a variable.
    """
    if name == "otlp":
        return _otlp_exporter(signal)
    # Those of other distributions, found as opentelemetry-instrument finds them.
    for entry_point in entry_points(group=f"opentelemetry_{signal.lower()}_exporter", name=name):
        return entry_point.load()()
    raise StartRefused(f"OTEL_{signal}_EXPORTER: there is no exporter {name!r}; write {_KNOWN[signal]}")


def end_in_time(end: Callable[[float], None], deadline_seconds: float, what: str) -> bool:
    """Call ``end`` with the deadline, and give up after it, with one line about ``what``. Blocks: not for a loop.

    Returns:
        Whether everything was handed to the exporter.
    """
    thread = threading.Thread(
        target=end, args=(deadline_seconds,), name=f"outlast-{what.lower()}-shutdown", daemon=True
    )
    thread.start()
    thread.join(deadline_seconds)
    if thread.is_alive():
        get_logger().warning(
            f"{what} were left behind: the exporter did not finish in time", deadlineSeconds=round(deadline_seconds, 1)
        )
    return not thread.is_alive()


def _otlp_exporter(signal: Signal) -> Any:
    protocol = variables.otlp_protocol(signal)
    if protocol not in _PROTOCOLS:
        raise StartRefused(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not supported; write grpc or http/protobuf")
    module, exporter = _OTLP[signal]
    timeout = None if variables.otlp_timeout_set(signal) else EXPORT_TIMEOUT_SECONDS
    name = f"opentelemetry.exporter.otlp.proto.{_PROTOCOLS[protocol]}.{module}"
    if signal == "TRACES" and protocol == "grpc":
        name, exporter = "outlast.telemetry.otlp_exporter", "RecordExporter"  # the same, and faster with what is ours
    return getattr(import_module(name), exporter)(timeout=timeout)
