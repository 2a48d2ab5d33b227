"""Metrics by OTLP: real exporters, real sockets."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from outlast.core.errors import StartRefused
from outlast.telemetry.metrics import metering

from .receivers import WAYS

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Return what sets variables of OpenTelemetry's."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"OTEL_{name}", value)

    return set_all


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what has been said, but for the lines of gRPC's own: they may be of another test's connection."""
    told = capfd.readouterr().err.splitlines()
    return [json.loads(line) for line in told if not re.match(r"[IWE]\d{4} ", line)]


def count_one() -> None:
    """Count something."""
    active = metering.active()
    assert active is not None
    active.meter.create_counter("outlast.test").add(1)


@pytest.mark.parametrize("protocol", WAYS)
async def test_metrics_arrive(protocol: str, environment: Environment, capfd: pytest.CaptureFixture[str]) -> None:
    """The generic endpoint is enough; they come from the agent, and the last of them before the process ends."""
    async with WAYS[protocol]() as receiver:
        environment(EXPORTER_OTLP_ENDPOINT=receiver.endpoint, EXPORTER_OTLP_PROTOCOL=protocol)
        environment(RESOURCE_ATTRIBUTES="deployment.environment.name=test")
        assert await asyncio.to_thread(metering.set_up, "research")
        count_one()
        assert await asyncio.to_thread(metering.shutdown, 5)

        assert receiver.metrics()["outlast.test"].sum.data_points[0].as_int == 1
        resource = receiver.resource()
        assert resource["service.name"] == "research"
        assert resource["deployment.environment.name"] == "test"
        assert resource["service.instance.id"]
        assert metering.active() is None
    assert lines(capfd) == []


@pytest.mark.parametrize("protocol", WAYS)
async def test_a_collector_of_spans_alone_is_told_of_once(
    protocol: str, environment: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    """However often it refuses; and its refusal does not delay the end."""
    async with WAYS[protocol](metrics=False) as receiver:
        environment(
            EXPORTER_OTLP_ENDPOINT=receiver.endpoint, EXPORTER_OTLP_PROTOCOL=protocol, METRIC_EXPORT_INTERVAL="20"
        )
        await asyncio.to_thread(metering.set_up, "research")
        count_one()
        await receiver.wait(4)
        assert await asyncio.to_thread(metering.shutdown, 5)

    [line] = lines(capfd)
    assert (line["level"], line["message"]) == ("INFO", "the collector takes no metrics")
    assert "OTEL_METRICS_EXPORTER=none" in line["cure"]


@pytest.mark.parametrize("protocol", WAYS)
async def test_a_collector_that_never_answers_does_not_hold_the_end(
    protocol: str, environment: Environment, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it did not take in time is left behind, with one line."""
    with socket.create_server(("127.0.0.1", 0)) as collector:
        endpoint = f"http://127.0.0.1:{collector.getsockname()[1]}"
        environment(EXPORTER_OTLP_ENDPOINT=endpoint, EXPORTER_OTLP_PROTOCOL=protocol, EXPORTER_OTLP_TIMEOUT="30")
        await asyncio.to_thread(metering.set_up, "research")
        count_one()
        async with asyncio.timeout(20):
            await asyncio.to_thread(metering.shutdown, 0.5)

    [line] = lines(capfd)
    assert line["level"] == "WARNING"
    assert line["message"].lower().startswith("metrics were left behind")


async def test_the_provider_of_the_program_is_used(environment: Environment) -> None:
    """It gets our figures beside its own, and is neither replaced nor ended."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    api.set_meter_provider(provider)
    environment(EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert await asyncio.to_thread(metering.set_up, "research")
    count_one()
    assert await asyncio.to_thread(metering.shutdown, 5)
    provider.get_meter("program").create_counter("own").add(1)

    data = reader.get_metrics_data()
    assert data is not None
    assert {scope.scope.name for scope in data.resource_metrics[0].scope_metrics} == {"outlast", "program"}
    provider.shutdown()


async def test_what_the_program_counts_goes_the_same_way(environment: Environment) -> None:
    """A program without a provider of its own has ours."""
    async with WAYS["grpc"]() as receiver:
        environment(EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
        await asyncio.to_thread(metering.set_up, "research")
        api.get_meter("program").create_counter("own").add(1)
        await asyncio.to_thread(metering.shutdown, 5)

        assert "own" in receiver.metrics()


async def test_a_second_start_in_one_process_has_figures_of_its_own(environment: Environment) -> None:
    """Test clients and notebooks start more than once."""
    async with WAYS["grpc"]() as receiver:
        environment(EXPORTER_OTLP_METRICS_ENDPOINT=receiver.endpoint)
        for _ in range(3):
            assert await asyncio.to_thread(metering.set_up, "research")
            count_one()
            await asyncio.to_thread(metering.shutdown, 5)

        values = [r.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0] for r in receiver.requests]
        assert [value.as_int for value in values] == [1, 1, 1]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"METRICS_EXPORTER": "none", "EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"SDK_DISABLED": "true", "METRICS_EXPORTER": "otlp"},
        {"TRACES_EXPORTER": "otlp", "EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_metrics_are_off(variables: dict[str, str], environment: Environment) -> None:
    """Unless they are asked for, by name or with OTLP as a whole."""
    environment(**variables)

    assert not metering.set_up("research")
    assert metering.active() is None


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"METRICS_EXPORTER": "carrier-pigeon"}, "OTEL_METRICS_EXPORTER"),
        ({"METRICS_EXPORTER": "otlp", "EXPORTER_OTLP_METRICS_PROTOCOL": "telegraph"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"METRICS_EXPORTER": "console", "METRIC_EXPORT_INTERVAL": "-1"}, "OTEL_"),
    ],
)
def test_what_is_not_there_is_refused_by_name(variables: dict[str, str], named: str, environment: Environment) -> None:
    """A variable that asks for it is named in the refusal."""
    environment(**variables)
    with pytest.raises(StartRefused, match=named):
        metering.set_up("research")
