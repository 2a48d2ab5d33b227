"""The checker that the tests of spans rely on finds what it is there to find."""

from __future__ import annotations

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ...jaeger_rules import TOLERANCE, broken_rules

TRACE = b"t" * 16
RESOURCE = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="agent"))])


def span(number: int, parent: int = 0, **fields: object) -> Span:
    """Return a span of the trace."""
    whole: dict[str, object] = {
        "trace_id": TRACE,
        "span_id": bytes([number] * 8),
        "parent_span_id": bytes([parent] * 8) if parent else b"",
        "name": f"s{number}",
        "start_time_unix_nano": number,
        "end_time_unix_nano": 10,
    }
    return Span(**{**whole, **fields})  # type: ignore[arg-type]


def rules_broken_by(*spans: Span) -> list[str]:
    """Return what is wrong, without ids."""
    return [text.split(") ")[1].split(":")[0] for text in broken_rules((RESOURCE, span) for span in spans)]


def test_a_whole_trace_breaks_none() -> None:
    """A root, its child that outlives it, and the child once more."""
    child = span(2, 1, end_time_unix_nano=20)

    assert rules_broken_by(span(1), child, child) == []


def test_spans_that_miss_each_other_are_found() -> None:
    """Orphans, repeats that differ, links to elsewhere or instead of a parent, circles, two roots."""
    elsewhere = Span.Link(trace_id=b"u" * 16, span_id=b"u" * 8)
    here = Span.Link(trace_id=TRACE, span_id=bytes([1] * 8))

    assert rules_broken_by(span(2, 1)) == ["is an orphan"]
    assert broken_rules([(RESOURCE, span(2, 1))], {"01" * 8}) == []
    assert rules_broken_by(span(2, 1, links=[here])) == ["is an orphan", "has no parent, and its link is taken for one"]
    assert rules_broken_by(span(1), span(1, end_time_unix_nano=3)) == ["came again and is not the same"]
    assert rules_broken_by(span(1), span(2, 1, links=[elsewhere])) == ["links to another trace"]
    assert rules_broken_by(span(2, links=[here])) == ["has no parent, and its link is taken for one"]
    assert rules_broken_by(span(1, 2, start_time_unix_nano=2), span(2, 1)) == ["is its own ancestor"] * 2
    assert rules_broken_by(span(1), span(2)) == ["has 2 roots"]
    other = Resource(attributes=RESOURCE.attributes, dropped_attributes_count=1)
    assert len(broken_rules([(RESOURCE, span(1)), (other, span(1))])) == 1


def test_a_span_that_is_none_is_found() -> None:
    """Times, ids, names, services, attributes."""
    twice = [KeyValue(key="k", value=AnyValue(int_value=number)) for number in (1, 2)]

    early = span(2, start_time_unix_nano=TOLERANCE + 2, end_time_unix_nano=TOLERANCE + 3)

    assert rules_broken_by(span(1, end_time_unix_nano=1)) == ["does not end after it begins"]
    assert rules_broken_by(early, span(3, 2, start_time_unix_nano=1)) == ["begins before its parent"]
    assert rules_broken_by(span(1, name="")) == ["has no name"]
    assert rules_broken_by(span(1, span_id=bytes(8))) == ["has no id"]
    assert rules_broken_by(span(1, attributes=twice)) == ["has k 2 times"]
    assert len(broken_rules([(Resource(), span(1))])) == 1
