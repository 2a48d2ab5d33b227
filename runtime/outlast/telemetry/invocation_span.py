"""The span of an invocation; with tracing off, only the trace that came with the request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from outlast.baggage import EXPERIMENT_ARN, EXPERIMENT_VARIANT, NO_BAGGAGE, Baggage
from outlast.core.task import NO_TRACE, TraceContext
from outlast.telemetry import tracing
from outlast.telemetry.propagation import trace_context_from

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span


class InvocationSpan:
    """The SERVER span of one invocation; with tracing off, only the trace that came with the request."""

    def __init__(
        self,
        trace_context: TraceContext,
        active: tracing.Tracing | None = None,
        span: Span | None = None,
        context: Context | None = None,
    ) -> None:
        #: What the handler's tasks are children of: the span, or what the request brought.
        self.trace_context = trace_context
        self._tracing = active
        self._span = span
        self._context = context

    @property
    def recording(self) -> bool:
        """Whether there is a span; else there is nothing to make current."""
        return self._span is not None

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


#: That of every request without a trace, while tracing is off.
_NO_SPAN = InvocationSpan(NO_TRACE)


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
        tracing.stamp_spans_of_program()
    active = tracing.active()
    if active is None:
        trace_context = trace_context_from(headers)
        return _NO_SPAN if trace_context is NO_TRACE else InvocationSpan(trace_context)
    from opentelemetry import propagate
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, set_span_in_context

    parent = propagate.extract({name.lower(): value for name, value in headers.items()}, context=Context())
    attributes = {
        "http.request.method": method,
        "url.path": path,
        "session.id": session_id,
        "outlast.agent": active.agent,
        "outlast.request_id": request_id,
        EXPERIMENT_ARN: baggage.experiment_arn,
        EXPERIMENT_VARIANT: baggage.experiment_variant,
    }
    span = active.tracer.start_span(
        f"{method} {path}",
        context=parent,
        kind=SpanKind.SERVER,
        attributes={name: value for name, value in attributes.items() if value},
    )
    context = set_span_in_context(span, parent)
    return InvocationSpan(tracing.trace_context_of(span.get_span_context()), active, span, context)
