"""Metrics that each test switches on for itself, as a process does at its start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from opentelemetry.metrics import _internal as api
from opentelemetry.util._once import Once

from outlast.telemetry.metrics import metering


def forget_provider() -> None:
    """Be as a process in which nobody has set a provider."""
    api._METER_PROVIDER, api._METER_PROVIDER_SET_ONCE = None, Once()
    metering._global = None


@pytest.fixture(autouse=True)
def clean_metering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the machine's, and no provider of another test's: OpenTelemetry lets a process set one only."""
    for variable in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(variable)
    forget_provider()
    yield
    metering.shutdown(5)
    forget_provider()
