"""Where a trace is looked at: a page of Jaeger, or of whatever else shows traces (OUTLAST_TRACE_URL)."""

from __future__ import annotations

from outlast.telemetry.propagation import parse_traceparent


def trace_link(template: str | None, traceparent: str) -> str:
    """Return the link to a trace, by a template with ``{trace_id}`` in it; empty where it leads nowhere.

    That is without a template, and for a trace that is not sampled: none of its spans is exported.
    """
    trace = parse_traceparent(traceparent) if template and traceparent else None
    if not template or trace is None or not trace.sampled:
        return ""
    return template.replace("{trace_id}", f"{trace.trace_id:032x}")
