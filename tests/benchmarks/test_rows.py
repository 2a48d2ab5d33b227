"""Targets, rows, and what is shown and recorded of them."""

from __future__ import annotations

import pytest

from benchmarks.harness import report
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target

RATE = Row(
    "invocations a second",
    "1/s",
    Series([900, 1_000, 1_100]),
    {"slow": Series([200, 200, 200]), "limit": Series([2_000, 2_000, 2_000])},
    [Target(">=", 5, "slow"), Target(">=", 0.6, "limit")],
    "all of them log",
)
ALONE = Row("event to watcher", "ms", Series([12.345]), targets=[Target("<", 50)])
BESIDE = Row("memory", "MiB", Series([50]), {"slow": Series([40])})


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(">=", 5, "slow"), True),
        (Target(">=", 5.1, "slow"), False),
        (Target("<=", 0.5, "limit"), True),
        (Target("<=", 0.4, "limit"), False),
        (Target(">=", 1_000), True),
        (Target("<", 1_000), False),
        (Target("<=", 1_000), True),
    ],
)
def test_a_target_is_in_itself_or_beside_a_peer(target: Target, met: bool) -> None:
    """Both kinds of bounds look at the median of the rounds."""
    assert target.met(RATE.ours, RATE.peers) is met


def test_every_target_of_a_row_is_to_be_met() -> None:
    """One of two is not enough; a row without any is neither met nor missed."""
    assert RATE.met is False
    assert ALONE.met is True
    assert BESIDE.met is None


def test_the_ratio_is_that_of_the_first_target() -> None:
    """It is the figure that the target is about; without a target the first peer's, and none without peers."""
    assert RATE.ratio == 5
    assert BESIDE.ratio == 1.25
    assert ALONE.ratio is None


def test_there_is_no_ratio_to_nought() -> None:
    """A peer that spent less than the clock can tell would make any ratio."""
    row = Row("time", "us", Series([1]), {"slow": Series([0])})

    assert row.ratio is None
    assert report.table([row]).splitlines()[2] == "| time | us | 1 | slow: 0 | - |  |  |"


def test_what_is_recorded_of_a_row() -> None:
    """The keys are those that readers of benchmarks/results expect, with four digits of each figure."""
    assert ALONE.as_json() == {
        "question": "event to watcher",
        "ours": 12.35,
        "unit": "ms",
        "peers": {},
        "ratio": None,
        "target": "< 50",
        "met": True,
    }
    assert RATE.as_json()["peers"] == {"slow": 200, "limit": 2_000}
    assert RATE.as_json()["target"] == ">= 5 x slow, >= 0.6 x limit"


def test_the_table() -> None:
    """Each row is a line of Markdown, in which a sign is no tag, and a target that is missed stands out."""
    lines = report.table([RATE, ALONE, BESIDE]).splitlines()

    assert lines[2] == (
        "| invocations a second<br><sub>all of them log</sub> | 1/s | 1,000 (900 to 1,100) | slow: 200<br>limit: 2,000 "
        "| 5<br>0.5 | >= 5 x slow<br>>= 0.6 x limit | **no** |"
    )
    assert lines[3] == "| event to watcher | ms | 12.3 |  |  | &lt; 50 | yes |"
    assert lines[4] == "| memory | MiB | 50 | slow: 40 | 1.25 |  |  |"
