"""W3C trace context (https://www.w3.org/TR/trace-context/) as text: no OpenTelemetry needed to pass it on.

A task keeps its trace as a ``traceparent``: ``00-<trace id>-<parent span id>-<flags>``. The task's own span id is its
task id, so what is kept is the span above it. A task that begins a trace has none, and a traceparent cannot say so:
its parent id is then ``root_parent_id(trace_id)``, a hash of the trace id that no real span carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from outlast.core.task import NO_TRACE, TraceContext

#: Bytes at the most of a tracestate that is passed on (W3C: at least 512).
MAX_TRACESTATE = 512
#: The trace flags that have a meaning: sampled, and random trace id (W3C level 2).
_KNOWN_FLAGS = 0x03
_SAMPLED = 0x01

_LENGTHS = (len("traceparent"), len("tracestate"))
#: Text, which ``re`` compiles when it is needed: not with the import of an App.
_TRACEPARENT = r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
_TRACESTATE = r"[\x20-\x7e\t]*"


class Traceparent(NamedTuple):
    """A ``traceparent`` taken apart."""

    trace_id: int
    parent_id: int
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether spans of this trace are to be recorded."""
        return bool(self.flags & _SAMPLED)

    @property
    def root(self) -> bool:
        """Whether there is no span above: whoever has this context begins the trace."""
        return self.parent_id == root_parent_id(self.trace_id)

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.parent_id:016x}-{self.flags:02x}"


# A task's is asked for by each of its lines, its figures and its span, mostly in the same moment.
@lru_cache(maxsize=1024)
def parse_traceparent(text: str) -> Traceparent | None:
    """Return the parts of a ``traceparent``, or None when W3C's rules say to ignore it."""
    match = re.fullmatch(_TRACEPARENT, text)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    # Version 00 ends after the flags; a later one may go on, and is read as far as it is known.
    if version == "ff" or (version == "00" and more is not None):
        return None
    parsed = Traceparent(int(trace_id, 16), int(parent_id, 16), int(flags, 16) & _KNOWN_FLAGS)
    return parsed if parsed.trace_id and parsed.parent_id else None


def root_parent_id(trace_id: int) -> int:
    """Return the parent id that says "no parent" in this trace."""
    return _hashed(trace_id.to_bytes(16, "big"))


def root_trace_context(trace_id: int, *, sampled: bool) -> TraceContext:
    """Return the context of a task that begins the trace ``trace_id``."""
    return TraceContext(str(Traceparent(trace_id, root_parent_id(trace_id), _SAMPLED if sampled else 0)))


def span_id_of(task_id: int) -> str:
    """Return the id of a task's span: sixteen hex digits of its own id."""
    return f"{task_id:016x}"


def attempt_span_id(task_id: int, attempt: int) -> int:
    """Return the id of the span of one attempt, as its worker and whoever exports it make it, each for itself."""
    return _hashed(f"{task_id}/{attempt}".encode())


def started_span_id(task_id: int, attempt: int) -> int:
    """Return the id of the span that says that an attempt has begun."""
    return _hashed(f"{task_id}/{attempt}/started".encode())


def trace_id_of(context: TraceContext) -> str:
    """Return the trace id as 32 hex digits; empty where there is no trace."""
    parsed = parse_traceparent(context.traceparent) if context.traceparent else None
    return f"{parsed.trace_id:032x}" if parsed else ""


def span_id_in(context: TraceContext) -> str:
    """Return the id of the span that a valid trace context names, as sixteen hex digits."""
    return context.traceparent[36:52]


def trace_context_from(headers: Mapping[str, str] | Iterable[tuple[str, str | bytes]]) -> TraceContext:
    """Return the trace context in HTTP headers or gRPC metadata; NO_TRACE when there is none that is valid."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    traceparents: list[str] = []
    tracestates: list[str] = []
    for name, value in pairs:
        if len(name) in _LENGTHS and isinstance(value, str):  # few headers are that long: every request pays for this
            match name.lower():
                case "traceparent":
                    traceparents.append(value.strip())
                case "tracestate":
                    tracestates.append(value.strip())
    # More than one traceparent: nobody can tell which one counts.
    parsed = parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    if parsed is None:
        return NO_TRACE
    tracestate = ",".join(filter(None, tracestates))
    if len(tracestate) > MAX_TRACESTATE or not re.fullmatch(_TRACESTATE, tracestate):
        tracestate = ""
    return TraceContext(str(parsed), tracestate)


def metadata_for(context: TraceContext) -> tuple[tuple[str, str], ...]:
    """Return the context as gRPC metadata (or HTTP headers); empty where there is none."""
    if not context.traceparent:
        return ()
    if not context.tracestate:
        return (("traceparent", context.traceparent),)
    return (("traceparent", context.traceparent), ("tracestate", context.tracestate))


def _hashed(name: bytes) -> int:
    """Return a span id made from a name."""
    import hashlib  # only with tracing on, and dear to load

    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") or 1
