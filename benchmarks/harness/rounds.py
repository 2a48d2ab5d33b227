"""Rounds in turn, A B A B: what drifts on a shared machine drifts for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Series:
    """What one contender reached, round by round."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest round."""
        return min(self.values), max(self.values)

    def ratio_to(self, other: Series) -> float:
        """Return the median, over the rounds, of how many times ``other`` this is in the same round."""
        return median(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True))


def alternate(contenders: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: bool = True) -> dict[str, Series]:
    """Measure each contender once a round, as ``in_turn`` does, where a measurement is one figure."""
    return {name: Series(values) for name, values in in_turn(contenders, rounds, warm_up=warm_up).items()}


def in_turn(contenders: Mapping[str, Callable[[], T]], rounds: int, *, warm_up: bool = True) -> dict[str, list[T]]:
    """Measure each contender once a round, after a round that does not count; return what came of the others.

    Every other round goes backwards, so that none always follows the same one.
    """
    if warm_up:
        for measure in contenders.values():
            measure()
    measured: dict[str, list[T]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in reversed(list(contenders)) if number % 2 else contenders:
            measured[name].append(contenders[name]())
    return measured


def series(measured: Mapping[str, Iterable[T]], figure: Callable[[T], float]) -> dict[str, Series]:
    """Return one figure of what ``in_turn`` measured."""
    return {name: Series([figure(each) for each in rounds]) for name, rounds in measured.items()}
