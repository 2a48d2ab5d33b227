"""Rounds in turn, and the figures that are made of them."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.harness.rounds import Series, alternate, in_turn, series


def _noting(calls: list[str], name: str) -> Callable[[], float]:
    def measure() -> float:
        calls.append(name)
        return float(len(calls))

    return measure


def test_a_warm_up_comes_first_and_every_other_round_goes_backwards() -> None:
    """None is always measured after the same one, and the first round counts for nobody."""
    calls: list[str] = []

    reached = alternate({name: _noting(calls, name) for name in "ABC"}, 3)

    assert "".join(calls) == "ABC" + "ABC" + "CBA" + "ABC"
    assert reached == {"A": Series([4, 9, 10]), "B": Series([5, 8, 11]), "C": Series([6, 7, 12])}


def test_a_round_without_a_warm_up() -> None:
    """What is measured cold counts from the first time on."""
    calls: list[str] = []

    assert alternate({"A": _noting(calls, "A")}, 2, warm_up=False) == {"A": Series([1, 2])}


def test_several_figures_of_one_measurement() -> None:
    """A round may bring more than a number; each figure of it has a series."""
    measured = in_turn({"A": lambda: (1, 2), "B": lambda: (3, 4)}, 2)

    assert measured == {"A": [(1, 2), (1, 2)], "B": [(3, 4), (3, 4)]}
    assert series(measured, lambda each: each[1]) == {"A": Series([2, 2]), "B": Series([4, 4])}


def test_the_middle_and_the_spread() -> None:
    """A figure is the median of its rounds; the lowest and the highest stand behind it."""
    rounds = Series([3, 1, 2, 10])

    assert (rounds.median, rounds.spread) == (2.5, (1, 10))


def test_a_ratio_compares_within_rounds() -> None:
    """A machine that is slow for one round is slow for both: the ratio is that of the rounds, not of the medians."""
    assert Series([10, 100, 1_000]).ratio_to(Series([5, 50, 250])) == 2
