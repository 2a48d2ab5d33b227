"""Latencies as figures."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """Return the smallest value that ``share`` of them do not exceed; ``sorted_values`` are not empty."""
    return sorted_values[max(-int(-share * len(sorted_values) // 1) - 1, 0)]


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many there are, and p50, p99 and the longest in milliseconds."""
    ordered = sorted(value * 1_000 for value in seconds)
    return {
        "count": len(ordered),
        "p50": percentile(ordered, 0.5),
        "p99": percentile(ordered, 0.99),
        "longest": ordered[-1],
    }
