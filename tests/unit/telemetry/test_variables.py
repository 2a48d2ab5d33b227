"""What is read of OpenTelemetry's variables without its SDK."""

from __future__ import annotations

import pytest

from outlast.telemetry.variables import check_times


@pytest.mark.parametrize(
    ("variable", "value", "unit"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "10s", "milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "milliseconds"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "soon", "seconds"),
    ],
)
def test_a_time_that_is_no_number_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, unit: str
) -> None:
    """The SDK would go by its default, or say which value and not which variable; what is off is not looked at."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    with pytest.raises(ValueError, match=f"{variable}: '{value}' is no time; write {unit}"):
        check_times()

    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    check_times()


def test_times_that_are_numbers_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones and fractions."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "5000")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")

    check_times()
