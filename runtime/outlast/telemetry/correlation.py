"""The ids of a line: of the request, the session, the task and the span that the calling code works for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias

from outlast.context import Invocation, current_invocation
from outlast.core.operation import Start
from outlast.core.task import Task
from outlast.telemetry.propagation import span_id_in, span_id_of, trace_id_of
from outlast.telemetry.tracked import current_tracked

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

#: What a line is about; each says request, session and trace.
Origin: TypeAlias = Invocation | Start | Task

#: What this process is for, whatever else is known: the one session of a session host's process.
_of_process: dict[str, str] = {}


def ids_of(origin: Origin, task_id: int | None = None) -> dict[str, str]:
    """Return those ids of an invocation, or of a task, that are known, in their order (design: section 5, log lines).

    With a task the span is the task's, else the one that the trace context names.
    """
    ids: dict[str, str] = {}
    if origin.request_id:
        ids["requestId"] = origin.request_id
    if origin.session_id:
        ids["sessionId"] = origin.session_id
    if task_id is not None:
        ids["taskId"] = str(task_id)
    if trace_id := trace_id_of(origin.trace_context):
        ids["traceId"] = trace_id
        ids["spanId"] = span_id_of(task_id) if task_id is not None else span_id_in(origin.trace_context)
    return ids


def work_for(session_id: str) -> None:
    """Have every line of this process name the session, where it would name none; empty for any session."""
    _of_process.clear()
    if session_id:
        _of_process["sessionId"] = session_id


def current_ids() -> dict[str, str]:
    """Return the ids of what the calling code works for.

    The span is OpenTelemetry's current one, of the program or of a library; where there is none, the task's or that
    of the invocation.
    """
    invocation, tracked = current_invocation.get(), current_tracked.get()
    if tracked is not None:
        ids = ids_of(invocation or tracked.start, tracked.task_id)
    else:
        ids = dict(_of_process) if invocation is None else ids_of(invocation)
    span = current_span_context()
    if span is not None:
        ids["traceId"] = f"{span.trace_id:032x}"
        ids["spanId"] = f"{span.span_id:016x}"
    return ids


def current_span_context() -> SpanContext | None:
    """Return OpenTelemetry's current span; None where there is none, and where nobody has loaded OpenTelemetry."""
    # No import: a line may be written while another thread, or this one, is importing it.
    get_current_span = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if get_current_span is None:
        return None
    context: SpanContext = get_current_span().get_span_context()
    return context if context.is_valid else None
