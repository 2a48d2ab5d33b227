"""The figures that the benchmarks' loads make of latencies."""

from __future__ import annotations

from benchmarks.load.latencies import figures, percentile


def test_a_percentile_is_one_of_the_values() -> None:
    """It is the smallest that no more than the rest exceed: with 100 values the 99th, with one that one."""
    hundred = [float(value) for value in range(1, 101)]

    assert percentile(hundred, 0.99) == 99
    assert percentile(hundred, 0.5) == 50
    assert percentile([7.0], 0.99) == 7


def test_figures_are_milliseconds() -> None:
    """Latencies come in seconds, in any order."""
    assert figures([0.003, 0.001, 0.002]) == {"count": 3, "p50": 2, "p99": 3, "longest": 3}
