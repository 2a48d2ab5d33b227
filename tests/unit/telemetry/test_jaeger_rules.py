"""The checker that the tests of spans rely on finds what it is there to find."""

from __future__ import annotations

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...jaeger_rules import broken_rules

TRACE = b"t" * 16


def span(number: int, parent: int = 0, **fields: object) -> Span:
    """Return a span of the trace."""
    parent_id = bytes([parent] * 8) if parent else b""
    return Span(trace_id=TRACE, span_id=bytes([number] * 8), parent_span_id=parent_id, name=f"s{number}", **fields)  # type: ignore[arg-type]


def rules_broken_by(*spans: Span) -> list[str]:
    """Return what is wrong, without ids."""
    return [text.split(") ")[1].split(":")[0] for text in broken_rules((Resource(), span) for span in spans)]


def test_a_whole_trace_breaks_none() -> None:
    """A root, its child, and the child once more."""
    assert rules_broken_by(span(1), span(2, 1), span(2, 1)) == []


def test_each_rule_can_be_broken() -> None:
    """Orphans, repeats that differ, links to elsewhere or instead of a parent, circles, times."""
    elsewhere = Span.Link(trace_id=b"u" * 16, span_id=b"u" * 8)
    here = Span.Link(trace_id=TRACE, span_id=bytes([1] * 8))

    assert rules_broken_by(span(2, 1)) == ["is an orphan"]
    assert broken_rules([(Resource(), span(2, 1))], {"01" * 8}) == []
    assert rules_broken_by(span(1), span(1, end_time_unix_nano=1)) == ["came again and is not the same"]
    assert rules_broken_by(span(1), span(2, 1, links=[elsewhere])) == ["links to another trace"]
    assert rules_broken_by(span(1), span(2, links=[here])) == ["has no parent, and its link is taken for one"]
    assert rules_broken_by(span(1, 2), span(2, 1)) == ["is its own ancestor"] * 2
    assert rules_broken_by(span(1, start_time_unix_nano=1)) == ["ends before it begins"]
    other = Resource(dropped_attributes_count=1)
    assert len(broken_rules([(Resource(), span(1)), (other, span(1))])) == 1
