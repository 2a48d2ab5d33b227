"""Metrics: switched on by the standard ``OTEL_*`` variables or by a provider of the program's own, else nothing at all.

With metrics off neither the SDK nor an exporter is loaded, and whoever would count something asks ``active()`` first.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from outlast.core.value import value
from outlast.telemetry import variables
from outlast.telemetry.log import get_logger, message_of
from outlast.telemetry.metrics.observed import Observed

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider

    from outlast.telemetry.metrics.prometheus import Page

#: The part of the deadline after which exports under way are broken off, and say so.
_PATIENCE = 0.8
#: The instrumentation scope of our instruments.
SCOPE = "outlast"


@value(frozen=True, slots=True)
class Metering:
    """What there is while metrics are on."""

    provider: MeterProvider
    #: Makes our instruments: one of a name, however often it is asked.
    meter: Meter
    #: Makes those whose figures are looked up.
    observed: Observed
    #: Whether the provider is ours to end.
    own: bool
    #: What Prometheus is shown; None where it is not asked for.
    page: Page | None = None


_metering: Metering | None = None
#: The provider of ours that is the process's: OpenTelemetry lets a process set one only, and it outlives our use of it.
_global: MeterProvider | None = None
_observed: WeakKeyDictionary[Meter, Observed] = WeakKeyDictionary()


def active() -> Metering | None:
    """Return what there is while metrics are on; None while they are off."""
    return _metering


def set_up(agent: str) -> bool:
    """Switch metrics on if the program has a provider or the environment asks for one; return whether they are on.

    Call it before what counts is made. Blocks: not for a loop. ``agent`` is the service name where the environment
    gives none.

    Raises:
        StartRefused: a variable names what is not there.
    """
    global _metering
    shutdown(0)
    provider = _provider_of_program()
    if variables.sdk_disabled() or (provider is None and not variables.export_wanted("METRICS")):
        return False
    _metering = _with_own_provider(agent) if provider is None else metering_of(provider, own=False)
    return True


def shutdown(deadline_seconds: float) -> bool:
    """Export the last figures and switch metrics off; give up after the deadline, with one line.

    Blocks: not for a loop. Instruments that somebody still has count into nothing from then on.

    Returns:
        Whether everything was handed to the exporter.
    """
    global _metering
    metering, _metering = _metering, None
    if metering is None:
        return True
    from outlast.telemetry.exporters import end_in_time

    return end_in_time(partial(_finish, metering), deadline_seconds, "Metrics")


def metering_of(provider: MeterProvider, *, own: bool, page: Page | None = None) -> Metering:
    """Return what there is while metrics go to a provider."""
    meter = provider.get_meter(SCOPE)
    return Metering(provider, meter, _observed.setdefault(meter, Observed(meter)), own, page)


def _with_own_provider(agent: str) -> Metering:
    global _global
    from opentelemetry import metrics

    from outlast.telemetry.metrics.exporting import make_provider

    provider, page = make_provider(agent)
    if _global is None:
        metrics.set_meter_provider(provider)
        _global = provider
    return metering_of(provider, own=True, page=page)


def _provider_of_program() -> MeterProvider | None:
    """Return the SDK provider that the program has set; None where there is none."""
    if "opentelemetry.sdk.metrics" not in sys.modules:
        return None
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider

    provider = metrics.get_meter_provider()
    return provider if isinstance(provider, MeterProvider) and provider is not _global else None


def _finish(metering: Metering, deadline_seconds: float) -> None:
    millis = max(deadline_seconds * 1000, 1)
    if metering.own:
        try:
            metering.provider.shutdown(_PATIENCE * millis)
        except Exception as error:  # those of several readers that the time was too short for, or another package's
            get_logger().warning("metrics were left behind", reason=message_of(error))
    else:
        # The program's own provider goes on: its end is the program's to decide.
        metering.provider.force_flush(millis)
