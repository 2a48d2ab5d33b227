"""Spans: switched on by the standard ``OTEL_*`` variables or by a provider of the program's own, else nothing at all.

With tracing off neither the SDK nor an exporter is loaded; a trace that comes with a request is still passed on.
OpenTelemetry's current span is set in a context and put back by value, never through a token: a token is bound to the
context it was made in, and a body may be closed in another one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from outlast.baggage import EXPERIMENT_ARN, EXPERIMENT_VARIANT, NO_BAGGAGE, Baggage
from outlast.context import current_invocation
from outlast.core.task import NO_TRACE, Task, TraceContext
from outlast.telemetry import variables
from outlast.telemetry.log import get_logger, summary_of
from outlast.telemetry.propagation import Traceparent, parse_traceparent, root_trace_context, trace_context_from
from outlast.telemetry.tracked import Tracked

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import Span, SpanContext, Tracer

    from outlast.telemetry.handover import Handover

_log = get_logger()


#: The instrumentation scope of our spans.
SCOPE = "outlast"


@dataclass(frozen=True, slots=True)
class Tracing:
    """What there is while tracing is on."""

    provider: TracerProvider
    tracer: Tracer
    agent: str
    #: The way to span processors that are the program's own; None where the provider is ours and never blocks.
    handover: Handover | None

    @property
    def resource(self) -> Resource:
        """The resource of this process's spans."""
        return self.provider.resource

    def service_of(self, task: Task) -> str | None:
        """Return the service name of a task's span; None where the environment or the program has given one."""
        return None if self.handover is not None or variables.service_named() else task.agent

    def export(self, span: ReadableSpan) -> None:
        """Hand over a finished span that was not begun in this process; never blocks."""
        # The SDK has no public way in for one.
        self.finish(lambda: self.provider._active_span_processor.on_end(span))

    def finish(self, end: Callable[[], None]) -> None:
        """Call ``end``, which hands a span to the provider, without blocking."""
        if self.handover is None:
            end()
        else:
            self.handover.put(end)


_tracing: Tracing | None = None


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
    from opentelemetry import trace

    from outlast.telemetry.experiment import register
    from outlast.telemetry.exporting import make_provider
    from outlast.telemetry.handover import Handover

    handover = None
    if provider is None:
        provider = make_provider(agent)
        trace.set_tracer_provider(provider)
    else:
        handover = Handover(
            "outlast-spans",
            dropped="Spans are dropped: the program's span processor is too slow",
            failed="A span could not be handed over",
        )
    register(provider)
    _tracing = Tracing(provider, provider.get_tracer(SCOPE), agent, handover)
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
    thread = threading.Thread(
        target=_finish, args=(tracing, deadline_seconds), name="outlast-spans-shutdown", daemon=True
    )
    thread.start()
    thread.join(deadline_seconds)
    if thread.is_alive():
        _log.warning("Spans were left behind: the exporter did not finish in time", deadlineSeconds=deadline_seconds)
    return not thread.is_alive()


def _finish(tracing: Tracing, deadline_seconds: float) -> None:
    give_up = time.monotonic() + deadline_seconds
    if tracing.handover is None:
        tracing.provider.shutdown()  # exports what is queued first
        return
    tracing.handover.close(deadline_seconds)
    # The program's own provider goes on: its end is the program's to decide.
    tracing.provider.force_flush(max(int((give_up - time.monotonic()) * 1000), 1))


class InvocationSpan:
    """The SERVER span of one invocation; with tracing off, only the trace that came with the request."""

    def __init__(
        self,
        trace_context: TraceContext,
        tracing: Tracing | None = None,
        span: Span | None = None,
        context: Context | None = None,
    ) -> None:
        #: What the handler's tasks are children of: the span, or what the request brought.
        self.trace_context = trace_context
        self._tracing = tracing
        self._span = span
        self._context = context

    def set_status(self, code: int, error: Mapping[str, Any] | None = None) -> None:
        """Note the HTTP status of the response and, for a failure, what ``error_fields`` told of what was raised."""
        if self._span is None:
            return
        self._span.set_attribute("http.response.status_code", code)
        if code >= 500:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", error["errorType"] if error is not None else str(code))
            self._span.set_status(Status(StatusCode.ERROR, error["errorMessage"] if error is not None else None))

    def make_current(self) -> None:
        """Make the span current in the calling context: call it inside the handler's own ``contextvars.Context``.

        Nothing undoes it: the context is gone with the handler.
        """
        if self._context is not None:
            from opentelemetry.context import attach

            attach(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is None or self._tracing is None:
            return
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
        span, ended_at = self._span, time.time_ns()
        self._tracing.finish(lambda: span.end(ended_at))


def invocation_span(
    headers: Mapping[str, str],
    *,
    session_id: str = "",
    request_id: str = "",
    method: str = "POST",
    path: str = "/invocations",
    baggage: Baggage = NO_BAGGAGE,
) -> InvocationSpan:
    """Begin the span of an invocation, a child of the span that the request's headers name; a context manager."""
    if baggage.experiment_arn or baggage.experiment_variant:
        _stamp_spans_of_program()
    tracing = _tracing
    if tracing is None:
        return InvocationSpan(trace_context_from(headers))
    from opentelemetry import propagate
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, set_span_in_context

    parent = propagate.extract({name.lower(): value for name, value in headers.items()}, context=Context())
    attributes = {
        "http.request.method": method,
        "url.path": path,
        "session.id": session_id,
        "outlast.agent": tracing.agent,
        "outlast.request_id": request_id,
        EXPERIMENT_ARN: baggage.experiment_arn,
        EXPERIMENT_VARIANT: baggage.experiment_variant,
    }
    span = tracing.tracer.start_span(
        f"{method} {path}",
        context=parent,
        kind=SpanKind.SERVER,
        attributes={name: value for name, value in attributes.items() if value},
    )
    context = set_span_in_context(span, parent)
    return InvocationSpan(_trace_context_of(span.get_span_context()), tracing, span, context)


def trace_context_for_new_task() -> TraceContext:
    """Return the trace that a task started by the calling code belongs to.

    It is that of the current span; else the current invocation's; else, with tracing on, a new one, which the
    provider's sampler decides on; else none.
    """
    current = _current_span_context()
    if current is not None:
        return _trace_context_of(current)
    invocation = current_invocation.get()
    if invocation is not None and invocation.trace_context.traceparent:
        return invocation.trace_context
    tracing = _tracing
    if tracing is None:
        return NO_TRACE
    try:
        return _new_trace(tracing.provider)
    except Exception as failure:  # a sampler of the program's own: no reason for a task not to start
        _log.warning("No trace could be begun for a task", reason=summary_of(failure))
        return NO_TRACE


class TaskScope:
    """Makes a task's span the current one while its body runs, on any thread and across awaits."""

    __slots__ = ("_context", "_outer", "_tracked")

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._context: Context | None = None
        self._outer: Context | None = None

    def __enter__(self) -> None:
        trace = parse_traceparent(self._tracked.start.trace_context.traceparent) if _tracing is not None else None
        if trace is None:
            return
        from opentelemetry.context import attach, get_current
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        self._outer = get_current()
        span_context = _span_context(trace, self._tracked.task_id, self._tracked.start.trace_context.tracestate)
        self._context = set_span_in_context(NonRecordingSpan(span_context), self._outer)
        attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._context is None or self._outer is None:
            return
        from opentelemetry.context import attach, get_current

        # Not so when the body was closed in another context: that one never had the task's span.
        if get_current() is self._context:
            attach(self._outer)


def task_scope(tracked: Tracked) -> TaskScope:
    """Return the context manager that a task's body runs in."""
    return TaskScope(tracked)


def _provider_of_program() -> TracerProvider | None:
    """Return the SDK provider that the program has set; None where there is none."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _stamp_spans_of_program() -> None:
    """Give the experiment to the program's spans, though it may have set its provider after the start."""
    if "opentelemetry.sdk.trace" in sys.modules:
        from opentelemetry import trace

        from outlast.telemetry.experiment import register

        register(trace.get_tracer_provider())


def _current_span_context() -> SpanContext | None:
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return context if context.is_valid else None


def _new_trace(provider: TracerProvider) -> TraceContext:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.trace import SpanKind

    trace_id = provider.id_generator.generate_trace_id()
    decision = provider.sampler.should_sample(Context(), trace_id, "async_task", SpanKind.INTERNAL).decision
    return root_trace_context(trace_id, sampled=decision is Decision.RECORD_AND_SAMPLE)


def _span_context(trace: Traceparent, span_id: int, tracestate: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    return SpanContext(
        trace.trace_id,
        span_id,
        is_remote=False,
        trace_flags=TraceFlags(trace.flags),
        trace_state=TraceState.from_header([tracestate]) if tracestate else TraceState(),
    )


def _trace_context_of(context: SpanContext) -> TraceContext:
    return TraceContext(
        str(Traceparent(context.trace_id, context.span_id, int(context.trace_flags))), context.trace_state.to_header()
    )
