"""Metrics of a whole process: the page that Prometheus reads, and a collector that is away."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from .agent_process import until
from .conftest import Launcher


def scrape(url: str) -> dict[str, float]:
    """Return the sum over all series of each sample on the page."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


def test_an_agent_shows_what_it_does(launch: Launcher) -> None:
    """Its tasks, its requests, its store and its worker are on the page; a dead collector is one line, and no wait."""
    agent = launch.ready(
        "gate.py",
        OTEL_METRICS_EXPORTER="prometheus,otlp",
        OTEL_EXPORTER_PROMETHEUS_PORT="0",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="http://127.0.0.1:1",
        OTEL_METRIC_EXPORT_INTERVAL="100",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )
    page = agent.wait_message("metrics are served to Prometheus")["address"]
    answer = agent.invoke({"start": "three"})
    agent.invoke({"open": True})
    for task_id in answer.task_ids:
        agent.finished(task_id)

    found = scrape(page)
    assert found["outlast_task_created_total"] == found["outlast_task_completed_total"] == 3
    assert found["outlast_task_e2e_duration_seconds_count"] == 3
    assert found["outlast_worker_connected"] == 1
    assert found["http_server_request_duration_seconds_count"] >= 2
    assert found["outlast_store_transaction_duration_seconds_count"] > 0
    until(lambda: "outlast_task_backlog" in scrape(page), "the census")
    assert agent.request("GET", "/metrics").status == 404

    agent.wait_message("metrics cannot be exported; the next export brings them")
    assert agent.stop() == 0
    of_metrics = [line["message"] for line in agent.lines if "etrics" in line["message"]]
    assert of_metrics == ["metrics are served to Prometheus", "metrics cannot be exported; the next export brings them"]
    assert not [line for line in agent.lines if line["logger"].startswith("opentelemetry")]
