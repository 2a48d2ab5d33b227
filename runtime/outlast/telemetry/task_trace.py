"""The trace of a task: which one it belongs to when it starts, and its span as the current one while its body runs.

OpenTelemetry's current span is set in a context and put back by value, never through a token: a token is bound to the
context it was made in, and a body may be closed in another one.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from outlast.context import current_invocation
from outlast.core.task import NO_TRACE, TraceContext
from outlast.telemetry import tracing
from outlast.telemetry.correlation import current_span_context
from outlast.telemetry.log import get_logger, summary_of
from outlast.telemetry.propagation import attempt_span_id, parse_traceparent, root_trace_context
from outlast.telemetry.tracked import Tracked

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider


def trace_context_for_new_task() -> TraceContext:
    """Return the trace that a task started by the calling code belongs to.

    It is that of the current span; else the current invocation's; else, with tracing on, a new one, which the
    provider's sampler decides on; else none.
    """
    current = current_span_context()
    if current is not None:
        return tracing.trace_context_of(current)
    invocation = current_invocation.get()
    if invocation is not None and invocation.trace_context.traceparent:
        return invocation.trace_context
    return own_trace_context()


def own_trace_context() -> TraceContext:
    """Return a new trace, on which the provider's sampler decides, for a task that has none; none without tracing."""
    active = tracing.active()
    if active is None:
        return NO_TRACE
    try:
        return _new_trace(active.provider)
    except Exception as failure:  # a sampler of the program's own: no reason for a task not to start
        get_logger().warning("No trace could be begun for a task", reason=summary_of(failure))
        return NO_TRACE


class TaskScope:
    """Makes a task's span, or its attempt's, the current one while its body runs, on any thread and across awaits."""

    __slots__ = ("_context", "_outer", "_tracked")

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._context: Context | None = None
        self._outer: Context | None = None

    def __enter__(self) -> None:
        if tracing.active() is None:
            return
        trace = parse_traceparent(self._tracked.start.trace_context.traceparent)
        if trace is None:
            return
        from opentelemetry.context import attach, get_current
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        self._outer = get_current()
        tracestate = self._tracked.start.trace_context.tracestate
        span = NonRecordingSpan(tracing.span_context(trace, _span_id(self._tracked), tracestate))
        self._context = set_span_in_context(span, self._outer)
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


def _span_id(tracked: Tracked) -> int:
    """Return the id of the span that the body's own spans are children of (task_span.task_spans exports it)."""
    if tracked.start.max_attempts > 1:
        return attempt_span_id(tracked.task_id, tracked.attempt)
    return tracked.task_id


def _new_trace(provider: TracerProvider) -> TraceContext:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Decision
    from opentelemetry.trace import SpanKind

    trace_id = provider.id_generator.generate_trace_id()
    decision = provider.sampler.should_sample(Context(), trace_id, "async_task", SpanKind.INTERNAL).decision
    return root_trace_context(trace_id, sampled=decision is Decision.RECORD_AND_SAMPLE)
