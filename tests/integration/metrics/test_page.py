"""The page for Prometheus: a real listener, a real client, and Prometheus' own parsers."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from opentelemetry.metrics import Observation
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from outlast.core.errors import StartRefused
from outlast.settings.values import Address
from outlast.telemetry import variables
from outlast.telemetry.metrics import metering
from outlastd.launch.metrics_page import serve_metrics

PORT, HOST = "OTEL_EXPORTER_PROMETHEUS_PORT", "OTEL_EXPORTER_PROMETHEUS_HOST"


@pytest.fixture(autouse=True)
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the page."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Return what undoes a start."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def serve(stack: AsyncExitStack) -> Address:
    """Serve the page as a start does."""
    assert await asyncio.to_thread(metering.set_up, "research")
    active = metering.active()
    assert active is not None
    assert active.page is not None
    return await serve_metrics(active.page, stack)


async def test_the_page_is_what_prometheus_reads(stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain text or OpenMetrics, by what it accepts; our figures and whose they are, nothing of the interpreter's."""
    monkeypatch.setenv(PORT, "0")
    address = await serve(stack)
    active = metering.active()
    assert active is not None
    active.meter.create_counter("outlast.task.created", "{task}").add(3, {"agent": 'a"\n'})
    active.meter.create_histogram("outlast.task.e2e.duration", "s").record(0.5, {"agent": "a"})

    async with aiohttp.ClientSession(f"http://{address}") as client:
        plain = await client.get("/metrics")
        families = {family.name: family for family in text_string_to_metric_families(await plain.text())}
        modern = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
        assert modern.content_type == "application/openmetrics-text"
        parsed = openmetrics.text_string_to_metric_families(await modern.text())  # type: ignore[no-untyped-call]
        assert "outlast_task_created" in {family.name for family in parsed}
        odd = await client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=new"})
        statuses = [
            (await client.post("/metrics", data=b"x")).status,
            (await client.get("/")).status,
            (await client.get("/invocations")).status,
            odd.status,
        ]

    assert plain.content_type == "text/plain"
    assert set(families) == {"target_info", "outlast_task_created", "outlast_task_e2e_duration_seconds"}
    [sample] = families["outlast_task_created"].samples
    assert (sample.name, sample.labels, sample.value) == ("outlast_task_created_total", {"agent": 'a"\n'}, 3)
    assert statuses == [405, 404, 404, 200]


async def test_a_port_that_is_taken(taken: int, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was asked for is refused; in the place of the standard one comes the next that is free."""
    monkeypatch.setenv(PORT, str(taken))
    with pytest.raises(StartRefused, match=rf"{taken}.*taken.*OTEL_EXPORTER_PROMETHEUS_PORT"):
        await serve(stack)
    monkeypatch.delenv(PORT)
    monkeypatch.setattr(variables, "_PROMETHEUS_PORT", taken)

    assert (await serve(stack)).port > taken


@pytest.mark.parametrize("value", ["http", "70000", "-1", "٣"])
async def test_a_port_that_is_none(value: str, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by the variable's name."""
    monkeypatch.setenv(PORT, value)
    with pytest.raises(StartRefused, match=PORT):
        await serve(stack)


async def test_two_starts_in_one_process(stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a page of its own, with nothing of the other's."""
    monkeypatch.setenv(PORT, "0")
    for number in (1, 2):
        async with AsyncExitStack() as start, aiohttp.ClientSession() as client:
            address = await serve(start)
            active = metering.active()
            assert active is not None
            active.meter.create_counter(f"start.{number}").add(1)
            body = await (await client.get(f"http://{address}/metrics")).text()
            assert [name for name in ("start_1_total", "start_2_total") if name in body] == [f"start_{number}_total"]


async def test_without_the_extra_the_start_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names what to install."""
    monkeypatch.delitem(sys.modules, "outlast.telemetry.metrics.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.prometheus", None)
    with pytest.raises(StartRefused, match=r"install outlast\[prometheus\]"):
        metering.set_up("research")


async def test_figures_that_hang_do_not_hold_up_the_end(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The page is made on a thread that nobody waits for; and whoever sends nonsense writes nothing into our log."""
    monkeypatch.setenv(PORT, "0")
    address = await serve(stack)
    active = metering.active()
    assert active is not None
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> Iterator[Observation]:
        asked.set()
        go_on.wait(60)
        yield from ()

    end = active.observed.gauge("hangs", hang, unit="1", description="")
    async with aiohttp.ClientSession(f"http://{address}") as client:
        assert (await client.get("/metrics", headers={"X-Long": "x" * 10_000})).status == 400
        scrape = asyncio.create_task(client.get("/metrics"))
        assert await asyncio.to_thread(asked.wait, 10)
        loop = asyncio.get_running_loop()
        try:
            await stack.aclose()
            async with asyncio.timeout(10):
                await loop.shutdown_default_executor()
        finally:
            go_on.set()
            end()
        await asyncio.gather(scrape, return_exceptions=True)

    assert len(capfd.readouterr().err.splitlines()) == 1, "where it is"


async def test_where_it_is_is_said(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With the port that was free."""
    monkeypatch.setenv(PORT, "0")
    monkeypatch.setenv(HOST, "127.0.0.1")
    address = await serve(stack)

    [line] = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (line["message"], line["address"]) == ("metrics are served to Prometheus", f"http://{address}/metrics")
