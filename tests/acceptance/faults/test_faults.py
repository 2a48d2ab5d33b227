"""The plan of faults: it covers what it says, and a seed is all that it takes to have it again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest

from .faults import EMBEDDED, Fault, Kind, Moment, Target, covering, whole


def cells(faults: Sequence[Fault]) -> list[tuple[Kind, Target, Moment]]:
    """Return what happens to whom when."""
    return [(fault.kind, fault.target, fault.moment) for fault in faults]


@pytest.mark.parametrize("seed", range(5))
def test_a_covering_set(seed: int) -> None:
    """24 faults, of which every two of kind, target and moment meet; those of embedded managers strike agents."""
    replicated, embedded = covering(seed)
    assert (len(replicated), len(embedded)) == (16, 8)
    met = cells(replicated)
    assert {(kind, target) for kind, target, _ in met} == set(product(Kind, Target))
    assert {(kind, moment) for kind, _, moment in met} == set(product(Kind, Moment))
    assert {(target, moment) for _, target, moment in met} == set(product(Target, Moment))
    alone = cells(embedded)
    assert len(set(alone)) == 8
    assert {kind for kind, _, _ in alone} == set(Kind)
    assert {target for _, target, _ in alone} == set(EMBEDDED)
    assert {moment for _, _, moment in alone} == set(Moment)


def test_the_whole_matrix() -> None:
    """Every combination once."""
    assert sorted(cells(whole(1))) == sorted(product(Kind, Target, Moment))
    assert sorted(cells(whole(1, EMBEDDED))) == sorted(product(Kind, EMBEDDED, Moment))


def test_a_seed_replays_the_plan() -> None:
    """The same seed is the same faults in the same order; another one is another order."""
    assert covering(7) == covering(7)
    assert whole(7) == whole(7)
    assert whole(7) != whole(8)
