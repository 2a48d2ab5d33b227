"""Spans: switched on by the standard ``OTEL_*`` variables or by a provider of the program's own, else nothing at all.

With tracing off neither the SDK nor an exporter is loaded; a trace that comes with a request is still passed on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from outlast.core.task import Task, TraceContext
from outlast.core.value import value
from outlast.telemetry import variables
from outlast.telemetry.propagation import Traceparent

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext, Tracer

    from outlast.telemetry.delivery import Delivery
    from outlast.telemetry.handover import Handover


#: The instrumentation scope of our spans.
SCOPE = "outlast"


@value(frozen=True, slots=True)
class Tracing:
    """What there is while tracing is on."""

    provider: TracerProvider
    tracer: Tracer
    agent: str
    #: Where the spans of tasks go.
    delivery: Delivery
    #: The way to span processors that are the program's own; None where the provider is ours and never blocks.
    handover: Handover | None

    @property
    def resource(self) -> Resource:
        """The resource of this process's spans."""
        return self.provider.resource

    def service_of(self, task: Task) -> str | None:
        """Return the service name of a task's span; None where the environment or the program has given one."""
        return None if self.handover is not None or variables.service_named() else task.agent

    def finish(self, end: Callable[[], None]) -> None:
        """Call ``end``, which hands a span to the provider, without blocking."""
        if self.handover is None:
            end()
        else:
            self.handover.put(end)


_tracing: Tracing | None = None
#: The provider of ours that is the process's: OpenTelemetry lets a process set one only, and it outlives our use of it.
_global: TracerProvider | None = None


def active() -> Tracing | None:
    """Return what there is while tracing is on; None while it is off."""
    return _tracing


def set_up(agent: str) -> bool:
    """Switch tracing on if the program has a provider or the environment asks for one; return whether it is on.

    Call it once, before the first request. ``agent`` is the service name where the environment gives none.

    Raises:
        StartRefused: a variable names what is not there.
    """
    global _tracing
    shutdown(0)
    provider = _provider_of_program()
    if variables.sdk_disabled() or (provider is None and not variables.export_wanted()):
        return False
    from outlast.telemetry.experiment import register

    _tracing = _with_own_provider(agent) if provider is None else _with_provider_of_program(provider, agent)
    register(_tracing.provider)
    return True


def shutdown(deadline_seconds: float) -> bool:
    """Export what is left and switch tracing off; give up after the deadline, with one line. Blocks: not for a loop.

    Returns:
        Whether everything was handed to the exporter.
    """
    global _tracing
    tracing, _tracing = _tracing, None
    if tracing is None:
        return True
    from outlast.telemetry.exporters import end_in_time

    return end_in_time(partial(_finish, tracing), deadline_seconds, "Spans")


def stamp_spans_of_program() -> None:
    """Give the experiment to the program's spans, though it may have set its provider after the start."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace

        from outlast.telemetry.experiment import register

        register(trace.get_tracer_provider())


def trace_context_of(context: SpanContext) -> TraceContext:
    """Return the context of a span's children, as a task keeps it."""
    return TraceContext(
        str(Traceparent(context.trace_id, context.span_id, int(context.trace_flags))), context.trace_state.to_header()
    )


def span_context(trace: Traceparent, span_id: int, tracestate: str = "", *, remote: bool = False) -> SpanContext:
    """Return what OpenTelemetry calls a span of a trace by."""
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    return SpanContext(
        trace.trace_id,
        span_id,
        is_remote=remote,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([tracestate]) if tracestate else TraceState(),
    )


def _with_own_provider(agent: str) -> Tracing:
    global _global
    from opentelemetry import trace

    from outlast.telemetry.delivery import ExporterDelivery
    from outlast.telemetry.exporting import make_provider

    provider = make_provider(agent)
    if _global is None:
        trace.set_tracer_provider(provider)
        _global = provider
    return Tracing(provider, provider.get_tracer(SCOPE), agent, ExporterDelivery(), handover=None)


def _with_provider_of_program(provider: TracerProvider, agent: str) -> Tracing:
    from outlast.telemetry.delivery import ProcessorDelivery
    from outlast.telemetry.handover import Handover

    handover = Handover(
        "outlast-spans",
        dropped="Spans are dropped: the program's span processor is too slow",
        failed="A span could not be handed over",
    )
    delivery = ProcessorDelivery(provider, handover)
    return Tracing(provider, provider.get_tracer(SCOPE), agent, delivery, handover)


def _provider_of_program() -> TracerProvider | None:
    """Return the SDK provider that the program has set; None where there is none."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) and provider is not _global else None


def _finish(tracing: Tracing, deadline_seconds: float) -> None:
    give_up = time.monotonic() + deadline_seconds
    if tracing.handover is None:
        tracing.provider.shutdown()  # exports what is queued first
        tracing.delivery.close(max(give_up - time.monotonic(), 0.0))
        return
    tracing.delivery.close(deadline_seconds)
    # The program's own provider goes on: its end is the program's to decide.
    tracing.provider.force_flush(max(int((give_up - time.monotonic()) * 1000), 1))
