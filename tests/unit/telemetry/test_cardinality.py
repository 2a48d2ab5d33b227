"""The bound of attributes that callers choose."""

from __future__ import annotations

from outlast.telemetry.metrics.cardinality import MAX_LENGTH, OTHER, Bounded


def test_values_beyond_the_bound_are_one() -> None:
    """Those that were there first keep their own series."""
    bounded = Bounded(limit=2)

    assert [bounded(value) for value in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]


def test_a_value_has_a_length() -> None:
    """What a caller makes longer is cut."""
    assert Bounded()("x" * 1_000) == "x" * MAX_LENGTH
