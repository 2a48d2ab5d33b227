"""The routing experiment on spans (contract section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from outlast.baggage import EXPERIMENT_ARN, EXPERIMENT_VARIANT, NO_BAGGAGE, Baggage, parse_baggage
from outlast.context import Invocation, current_invocation
from outlast.telemetry import tracing
from outlast.telemetry.invocation_span import invocation_span

HEADER = f"{EXPERIMENT_ARN}=arn%3Aexperiment,{EXPERIMENT_VARIANT}=blue"
BAGGAGE = parse_baggage([HEADER])
STAMPED = {EXPERIMENT_ARN: "arn:experiment", EXPERIMENT_VARIANT: "blue"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """What a program's own provider exports to."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    """A program's own provider, not yet the global one."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def begin_span(baggage: Baggage, **options: Any) -> Mapping[str, Any]:
    """Return the experiment on a span that a handler begins."""
    token = current_invocation.set(Invocation("r", baggage=baggage))
    try:
        span: Any = trace.get_tracer("user").start_span("span", **options)
    finally:
        current_invocation.reset(token)
    return {key: value for key, value in span.attributes.items() if key in STAMPED}


def test_spans_of_an_invocation_are_stamped(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    """Ours and those of the program's own have both attributes; once, however often tracing is set up."""
    trace.set_tracer_provider(provider)
    tracing.set_up("agent")
    processors = len(provider._active_span_processor._span_processors)
    tracing.set_up("agent")

    with invocation_span({"baggage": HEADER}, baggage=BAGGAGE):
        inside = begin_span(BAGGAGE)
    assert tracing.shutdown(5)

    [ours] = exporter.get_finished_spans()
    assert inside == STAMPED
    assert STAMPED.items() <= dict(ours.attributes or {}).items()
    assert len(provider._active_span_processor._span_processors) == processors


def test_without_an_experiment_nothing_is_stamped(provider: TracerProvider) -> None:
    """An attribute that is not known is left out."""
    trace.set_tracer_provider(provider)
    tracing.set_up("agent")

    assert begin_span(NO_BAGGAGE) == {}
    assert begin_span(Baggage(experiment_variant="blue")) == {EXPERIMENT_VARIANT: "blue"}


def test_a_span_before_the_invocation_is_stamped_from_its_parent(provider: TracerProvider) -> None:
    """An ASGI instrumentation's span has its parent's baggage; the invocation's wins over it."""
    trace.set_tracer_provider(provider)
    tracing.set_up("agent")
    parent = otel_baggage.set_baggage(EXPERIMENT_ARN, "arn:parent")
    parent = otel_baggage.set_baggage(EXPERIMENT_VARIANT, "green", parent)

    assert begin_span(NO_BAGGAGE, context=parent) == {EXPERIMENT_ARN: "arn:parent", EXPERIMENT_VARIANT: "green"}
    assert begin_span(BAGGAGE, context=parent) == STAMPED


def test_a_provider_that_comes_late_is_found(provider: TracerProvider) -> None:
    """A framework may set its provider with the first request."""
    assert not tracing.set_up("agent")
    trace.set_tracer_provider(provider)

    with invocation_span({}, baggage=BAGGAGE):
        assert begin_span(BAGGAGE) == STAMPED


@pytest.mark.parametrize("variable", ["tracecontext", "tracecontext,baggage"])
def test_our_own_provider_stamps_too(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Where the environment asks for spans, whichever propagators it names."""
    monkeypatch.setenv("OTEL_PROPAGATORS", variable)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert tracing.set_up("agent")

    assert begin_span(BAGGAGE) == STAMPED
