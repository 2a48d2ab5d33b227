"""The routing experiment that a request belongs to, on every span made for it (contract section 4.5).

Loaded only where there are spans: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from opentelemetry import baggage as otel_baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from outlast.baggage import EXPERIMENT_ARN, EXPERIMENT_VARIANT
from outlast.context import current_invocation
from outlast.core.validation import clean_text

#: Characters at the most of an attribute.
_MAX_VALUE = 8192

#: The provider that the processor was registered on last.
_registered_on: object = None


class ExperimentSpanProcessor(SpanProcessor):
    """Gives spans the experiment of the current invocation; where there is none, that of their parent's baggage."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the attributes that are known, where whoever began the span has not."""
        invocation = current_invocation.get()
        if invocation is not None:
            arn, variant = invocation.baggage.experiment_arn, invocation.baggage.experiment_variant
        else:
            arn = variant = None
        if parent_context is not None:
            # Spans of an ASGI instrumentation begin before there is an invocation.
            arn = arn or _from(parent_context, EXPERIMENT_ARN)
            variant = variant or _from(parent_context, EXPERIMENT_VARIANT)
        for key, value in ((EXPERIMENT_ARN, arn), (EXPERIMENT_VARIANT, variant)):
            if value is not None and key not in (span.attributes or {}):
                span.set_attribute(key, value)


def register(provider: object) -> None:
    """Have the spans of ``provider`` stamped, if it takes processors; once."""
    global _registered_on
    add = getattr(provider, "add_span_processor", None)
    if add is None or provider is _registered_on:
        return
    _registered_on = provider
    add(ExperimentSpanProcessor())


def _from(context: Context, key: str) -> str | None:
    value = otel_baggage.get_baggage(key, context)
    return clean_text(value, _MAX_VALUE) if isinstance(value, str) else None
